import { describe, expect, test } from 'vitest';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { annotations } from '#lib/api/names.ts';
import { fc } from '#test/properties.ts';
import { memberOf } from './member.ts';
import { preemption } from './preemption.ts';
import { askOf } from './tasks.ts';
import { cluster } from './testing/cluster.ts';
import { type MachineTraits, machine } from './testing/machines.ts';

/** Hosts h0, h1 … with so many cores each, and the machines that are there: `on` is the number of the host. */
function world(hosts: readonly number[], live: readonly (MachineTraits & { name: string; on: number })[]) {
  const { ledger, placement, add } = cluster();
  for (const [index, cores] of hosts.entries()) add(`h${index}`, cores + 0.5, 262_144);
  const machines = live.map(({ name, on, status, ...traits }) =>
    machine(name, {
      ...traits,
      status: { phase: 'Running', attempt: { number: 1, cluster: 'lab', host: `h${on}` }, ...status },
    }),
  );
  for (const vm of machines) ledger.occupy(vm.metadata.uid, vm.status!.attempt!.host!, askOf(vm), memberOf(vm));
  const liveOn = Map.groupBy(machines, ({ status }) => status!.attempt!.host!);
  const ask = (vm: VirtualMachine) => ({ room: askOf(vm), member: memberOf(vm) });
  return {
    ...{ ledger, placement, machines },
    /** "h0: a b" */
    choose(vm: VirtualMachine): string | undefined {
      const found = preemption({ vm, ask: ask(vm), liveOn, ledger, placement });
      return (
        found &&
        `${found.host}: ${found.victims
          .map(({ metadata }) => metadata.name)
          .toSorted()
          .join(' ')}`
      );
    },
    fits: (vm: VirtualMachine, host: string) => placement.fitsByTheBooks(ask(vm), host),
  };
}

const urgent = (cores: number, more: MachineTraits = {}) => machine('urgent', { cores, priority: 10, ...more });

describe('preemption() takes as little as possible', () => {
  test.each<[string, readonly number[], Parameters<typeof world>[1], string | undefined]>([
    [
      'one that suffices, not two',
      [8],
      [
        { name: 'a', on: 0, cores: 4 },
        { name: 'b', on: 0, cores: 4 },
      ].map((one, index) => ({ ...one, priority: index })),
      'h0: a',
    ],
    [
      'the host with the lowest priorities',
      [4, 4],
      [
        { name: 'a', on: 0, cores: 4, priority: 2 },
        { name: 'b', on: 1, cores: 4, priority: 1 },
      ],
      'h1: b',
    ],
    [
      'the host with fewer machines',
      [4, 4],
      [
        { name: 'a', on: 0, cores: 2 },
        { name: 'b', on: 0, cores: 2 },
        { name: 'c', on: 1, cores: 4 },
      ],
      'h1: c',
    ],
    [
      'what is free is used',
      [6],
      [
        { name: 'a', on: 0, cores: 2 },
        { name: 'b', on: 0, cores: 2 },
      ],
      'h0: b',
    ],
    ['nobody of the same priority', [4], [{ name: 'a', on: 0, cores: 4, priority: 10 }], undefined],
    ['nobody of another namespace', [4], [{ name: 'a', on: 0, cores: 4, namespace: 'other' }], undefined],
    [
      'nobody for nothing: it would not fit',
      [4],
      [
        { name: 'a', on: 0, cores: 1 },
        { name: 'b', on: 0, cores: 3, priority: 20 },
      ],
      undefined,
    ],
    [
      'no part of a gang',
      [4],
      [{ name: 'a', on: 0, cores: 4, gang: { name: 'g', machines: 1, timeout: '10m' } }],
      undefined,
    ],
    [
      'nobody while others leave anyway',
      [4, 4],
      [
        { name: 'a', on: 0, cores: 4 },
        {
          name: 'b',
          on: 1,
          cores: 4,
          status: { attempt: { number: 1, host: 'h1', drain: { reason: 'HostDrain', state: 'Evicting' } } },
        },
      ],
      'h1: ',
    ],
  ])('%s', (_, hosts, live, expected) => expect(world(hosts, live).choose(urgent(4))).toBe(expected));

  test('nobody who is protected', () => {
    const { machines, choose } = world([4], [{ name: 'a', on: 0, cores: 4 }]);
    Object.assign(machines[0]!.metadata, { annotations: { [annotations.scaleInProtection]: 'true' } });
    expect(choose(urgent(4))).toBeUndefined();
  });

  test('also for a rule: who it must not be beside goes', () => {
    const live = [{ name: 'a', on: 0, cores: 1, pool: 'web' }];
    const placement = {
      antiAffinity: [{ key: 'host', selector: { matchLabels: { 'computefactory.io/pool': 'web' } } }],
    };
    expect(world([8], live).choose(urgent(1, { spec: { placement } }))).toBe('h0: a');
  });
});

test('whoever is there: after its victims have gone it fits, without one of them it would not, and the books are as before', () => {
  const there = fc.record({
    on: fc.nat(3),
    cores: fc.integer({ min: 1, max: 6 }),
    priority: fc.integer({ min: 0, max: 12 }),
  });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 12 }), { minLength: 1, maxLength: 4 }),
      fc.array(there, { maxLength: 12 }),
      fc.integer({ min: 1, max: 12 }),
      (hosts, all, cores) => {
        const free = [...hosts];
        const live = all.flatMap(({ on, ...traits }, index) => {
          const host = on % hosts.length;
          if (free[host]! < traits.cores) return [];
          free[host]! -= traits.cores;
          return [{ ...traits, on: host, name: `m${index}` }];
        });
        const { ledger, choose, fits } = world(hosts, live);
        const vm = urgent(cores);
        const books = () =>
          hosts.map((_, index) => [ledger.view(`h${index}`)!.free, ledger.machinesOn(`h${index}`).toSorted()]);
        const before = books();
        const found = choose(vm);
        expect(books()).toEqual(before);
        const lower = live.filter(({ priority }) => priority < 10);
        const possible = hosts.some((_, index) => {
          const gone = lower.filter(({ on }) => on === index).reduce((sum, one) => sum + one.cores, 0);
          return gone > 0 && free[index]! + gone >= cores && free[index]! < cores;
        });
        const fitsAlready = hosts.some((_, index) => free[index]! >= cores);
        if (fitsAlready) return;
        expect(found !== undefined).toBe(possible);
        if (found === undefined) return;
        const [host, names] = found.split(': ') as [string, string];
        const victims = names.split(' ');
        for (const name of victims) {
          const { priority } = live.find((one) => one.name === name)!;
          expect(priority).toBeLessThan(10);
        }
        const places = new Map(victims.map((name) => [name, ledger.placeOf(name)!]));
        for (const name of victims) ledger.release(name);
        expect(fits(vm, host)).toBe(true);
        for (const [name, place] of places) {
          ledger.occupy(name, place.hostname, place.ask, place.member, place.standing);
          expect(fits(vm, host)).toBe(false);
          ledger.release(name);
        }
      },
    ),
  );
});
