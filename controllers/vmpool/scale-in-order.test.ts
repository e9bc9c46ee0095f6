import { describe, expect, test } from 'vitest';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { fc } from '#test/properties.ts';
import type { Facts } from './facts.ts';
import { scaleInOrder } from './scale-in-order.ts';

const vm = { kind: VirtualMachine.kind } as VirtualMachine;
const facts = (name: string, more: Partial<Facts> = {}): Facts => ({
  vm,
  name,
  ordinal: Number(name.split('-').at(-1)),
  createdMs: 1000,
  going: false,
  ended: undefined,
  placed: true,
  ready: true,
  neverUp: false,
  unreachable: false,
  lostFromMs: undefined,
  replaces: undefined,
  outdated: false,
  onCordonedHost: false,
  neighbours: 1,
  drain: undefined,
  granted: false,
  protected: false,
  deleteFirst: false,
  deletionCost: 0,
  ...more,
});

describe('scaleInOrder() takes, before a machine that is well', () => {
  // Each beats the next: the published list, rule by rule.
  const published: readonly (readonly [string, Partial<Facts>])[] = [
    ['one that is going', { going: true }],
    ['one to be deleted first', { deleteFirst: true }],
    ['one that never ran and has no place', { neverUp: true, placed: false }],
    ['one that never ran', { neverUp: true }],
    ['one that does not answer', { unreachable: true }],
    ['one of an older template', { outdated: true }],
    ['one on a cordoned host', { onCordonedHost: true }],
    ['one with many neighbours', { neighbours: 5 }],
    ['one that costs little', { deletionCost: -1 }],
    ['the newest', { createdMs: 2000 }],
  ];
  test.each(published)('%s', (_name, more) => {
    expect([facts('p-9'), facts('p-1', more)].toSorted(scaleInOrder('Default'))[0]!.name).toBe('p-1');
  });

  test('in this order', () => {
    const machines = published.map(([, more], index) => facts(`p-${index}`, more));
    const names = machines
      .toReversed()
      .toSorted(scaleInOrder('Default'))
      .map(({ name }) => name);
    expect(names).toEqual(machines.map(({ name }) => name));
  });
});

test.each([
  ['Default', 'p-2'],
  ['NewestFirst', 'p-2'],
  ['OldestFirst', 'p-1'],
  ['HighestOrdinal', 'p-3'],
] as const)('policy %s takes %s', (policy, expected) => {
  const machines = [facts('p-1', { createdMs: 1 }), facts('p-3', { createdMs: 2 }), facts('p-2', { createdMs: 3 })];
  expect(machines.toSorted(scaleInOrder(policy))[0]!.name).toBe(expected);
});

test('scaleInOrder() is total: any order of the same machines gives the same victims', () => {
  const flag = fc.boolean();
  const some = fc.record({
    going: flag,
    neverUp: flag,
    placed: flag,
    unreachable: flag,
    deletionCost: fc.nat(2),
    createdMs: fc.nat(2),
  });
  fc.assert(
    fc.property(fc.array(some, { maxLength: 12 }), fc.nat(), (list, seed) => {
      const machines = list.map((more, index) => facts(`p-${index}`, more));
      const shuffled = machines.toSorted((a, b) => ((a.ordinal * 7919 + seed) % 13) - ((b.ordinal * 7919 + seed) % 13));
      expect(shuffled.toSorted(scaleInOrder('Default'))).toEqual(machines.toSorted(scaleInOrder('Default')));
    }),
  );
});
