import { expect, test } from 'vitest';
import type { Offer } from '#mesos/types.ts';
import { Ledger, type LedgerHost } from './ledger.ts';
import { memberOf } from './member.ts';
import { arrivalOf, machineOf } from './migration.ts';
import { groupOf } from './tallies.ts';
import { machine } from './testing/machines.ts';

const host: LedgerHost = {
  hostname: 'h1',
  agentId: 'S1',
  labels: {},
  total: { cpu: 8500, mem: 10_512_000 },
  readiness: 'Ready',
  foreign: { cpu: 0, mem: 0 },
};
const share = { cpu: 500, mem: 512_000 };
const one = { cpu: 1000, mem: 1_000_000 };

function offer(id: string, cpus: number, executorIds: readonly string[] = [], agentId = 'S1'): Offer {
  return {
    ...{ id: { value: id }, framework_id: { value: 'f' }, agent_id: { value: agentId }, hostname: 'h1' },
    resources: [
      { name: 'cpus', type: 'SCALAR', scalar: { value: cpus } },
      { name: 'mem', type: 'SCALAR', scalar: { value: 10_512 } },
    ],
    executor_ids: executorIds.map((value) => ({ value })),
  };
}

function ledger(): Ledger {
  const made = new Ledger({ share, id: 'ex' });
  made.setHost(host);
  return made;
}

test('the executor has its share of the books always, and of an offer until it runs', () => {
  const books = ledger();
  books.addOffer(offer('O1', 8.5));
  expect(books.view('h1')).toMatchObject({ free: { cpu: 8000, mem: 10_000_000 }, offered: { cpu: 8000 } });
  books.removeOffer('O1');
  books.addOffer(offer('O2', 4, ['ex']));
  expect(books.view('h1')).toMatchObject({ free: { cpu: 8000 }, offered: { cpu: 4000 } });
});

test('a machine counts until released, also when Mesos offers its resources again, also before its host is known', () => {
  const books = new Ledger({ share, id: 'ex' });
  books.occupy('vm', 'h1', one);
  books.setHost(host);
  books.addOffer(offer('O1', 8.5));
  expect(books.view('h1')).toMatchObject({ offered: { cpu: 7000 }, machines: 1 });
  books.occupy('vm', 'h2', one);
  expect(books.view('h1')).toMatchObject({ free: { cpu: 8000 }, machines: 0 });
});

test('what others run is not free', () => {
  const books = ledger();
  books.setHost({ ...host, foreign: { cpu: 2000, mem: 0 } });
  expect(books.view('h1')?.free.cpu).toBe(6000);
});

test('offers of one host are taken together; offers of an unknown agent are not held', () => {
  const books = ledger();
  books.addOffer(offer('O1', 2));
  books.addOffer(offer('O2', 3));
  expect(books.addOffer(offer('O3', 3, [], 'S9'))).toBe(false);
  expect(books.takeOffers('h1').map(({ id }) => id.value)).toEqual(['O1', 'O2']);
  expect(books.view('h1')?.offered).toBeUndefined();
});

test('with another agent id the host has lost its offers, and kept its machines', () => {
  const books = ledger();
  books.addOffer(offer('O1', 8));
  books.occupy('vm', 'h1', one);
  books.setHost({ ...host, agentId: 'S2' });
  expect(books.view('h1')).toMatchObject({ offered: undefined, machines: 1 });
  expect(books.hostOfAgent('S1')).toBeUndefined();
  expect(books.hostOfAgent('S2')).toBe('h1');
});

test('the share of an executor that is to be started under another id counts again', () => {
  const books = ledger();
  books.addOffer(offer('O1', 4, ['ex']));
  const executor = books.executorOn('h1')!;
  executor.sent(['t1']);
  executor.missedBy('t1');
  books.addOffer(offer('O1', 4, ['ex']));
  expect([executor.id, books.offeredOn('h1')?.cpu]).toEqual(['ex-2', 3500]);
  books.addOffer(offer('O1', 4, ['ex', 'ex-2']));
  expect([executor.id, books.offeredOn('h1')?.cpu]).toEqual(['ex-2', 4000]);
});

test('a machine that is on its way holds room at both hosts, and counts once for its tenant and its group', () => {
  const books = ledger();
  books.setHost({ ...host, hostname: 'h2', agentId: 'S2' });
  const vm = machine('a');
  const { namespace } = vm.metadata;
  books.occupy('a', 'h1', one, memberOf(vm));
  const before = [books.usageOf(namespace!), books.countsOf(groupOf(memberOf(vm)))];
  books.occupy(arrivalOf('a'), 'h2', one, memberOf(vm), 'Arriving');
  expect(['h1', 'h2'].map((name) => books.view(name)?.free.cpu)).toEqual([7000, 7000]);
  expect([books.usageOf(namespace!), books.countsOf(groupOf(memberOf(vm)))]).toEqual(before);
  expect(books.machinesOn('h2').map(machineOf)).toEqual(['a']);
  expect(books.view('h2')).toMatchObject({ machines: 1, isBusy: false });
  books.release(arrivalOf('a'));
  expect(books.view('h2')?.free.cpu).toBe(8000);
});
