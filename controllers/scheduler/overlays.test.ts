import { expect, test } from 'vitest';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { fc } from '#test/properties.ts';
import { Overlays } from './overlays.ts';

function machine(host: string, vnis: readonly number[], cluster = 'lab'): VirtualMachine {
  const networks = vnis.map((vni) => ({ vni }));
  return { status: { attempt: { cluster, host }, networks } } as unknown as VirtualMachine;
}

function overlays(): Overlays {
  const made = new Overlays('lab');
  for (const n of [1, 2, 3]) made.heard(`h${n}`, `192.0.2.${n}`);
  return made;
}

test('each host is to know the others that carry its subnets, and no more', () => {
  const made = overlays();
  made.machineChanged('a', machine('h1', [10, 20]));
  made.machineChanged('b', machine('h2', [10]));
  made.machineChanged('c', machine('h3', [20]));
  made.machineChanged('d', machine('h3', [10], 'another'));
  expect(made.orderFor('h1')?.subnets).toEqual([
    { vni: 10, peers: ['192.0.2.2'] },
    { vni: 20, peers: ['192.0.2.3'] },
  ]);
  expect(made.orderFor('h2')?.subnets).toEqual([{ vni: 10, peers: ['192.0.2.1'] }]);
  made.machineChanged('b', undefined);
  expect(made.orderFor('h1')?.subnets[0]).toEqual({ vni: 10, peers: [] });
  expect(made.orderFor('h2')?.subnets).toEqual([]);
});

test('of a network of the site hosts are told nothing', () => {
  const made = overlays();
  const onSite = (host: string) => {
    const networks = [{ vni: 10, segment: { bridge: 'lan' } }, { vni: 20 }];
    return { status: { attempt: { cluster: 'lab', host }, networks } } as unknown as VirtualMachine;
  };
  for (const host of ['h1', 'h2']) made.machineChanged(host, onSite(host));
  expect(made.orderFor('h1')?.subnets).toEqual([{ vni: 20, peers: ['192.0.2.2'] }]);
});

test('a second machine on a host changes nothing, a moved tunnel does; a host without one is told nothing', () => {
  const made = overlays();
  made.machineChanged('a', machine('h1', [10]));
  made.machineChanged('b', machine('h2', [10]));
  const order = made.orderFor('h1');
  made.machineChanged('c', machine('h2', [10]));
  expect(made.orderFor('h1')).toBe(order);
  made.heard('h2', '192.0.2.99');
  expect(made.orderFor('h1')?.subnets).toEqual([{ vni: 10, peers: ['192.0.2.99'] }]);
  made.heard('h2', undefined);
  expect([made.orderFor('h1')?.subnets, made.orderFor('h2')]).toEqual([[{ vni: 10, peers: [] }], undefined]);
});

test('what is counted step by step is what a fresh count finds, with the same ids', () => {
  const move = fc.tuple(
    fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    fc.option(fc.tuple(fc.constantFrom('h1', 'h2', 'h3'), fc.subarray([10, 20, 30]))),
  );
  const check = (moves: readonly [string, [string, number[]] | null][]) => {
    const made = overlays();
    const now = new Map<string, VirtualMachine>();
    for (const [uid, to] of moves) {
      const vm = to ? machine(...to) : undefined;
      made.machineChanged(uid, vm);
      if (vm) now.set(uid, vm);
      else now.delete(uid);
      made.orderFor('h1');
    }
    const fresh = overlays();
    for (const [uid, vm] of now) fresh.machineChanged(uid, vm);
    for (const host of ['h1', 'h2', 'h3']) expect(made.orderFor(host)).toEqual(fresh.orderFor(host));
  };
  fc.assert(fc.property(fc.array(move, { maxLength: 40 }), check), { numRuns: 300 });
});
