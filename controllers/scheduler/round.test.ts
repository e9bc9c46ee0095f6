import { describe, expect, test } from 'vitest';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { fc } from '#test/properties.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { GangRoom } from './gang-room.ts';
import { gangsOf } from './gangs.ts';
import { planRound } from './round.ts';
import { cluster } from './testing/cluster.ts';
import { machine } from './testing/machines.ts';
import { compareMachines } from './waiting.ts';

const gang = (machines: number, name = 'g') => ({ name, machines, timeout: '10m' });
const members = (count: number, cores: number, name = 'g', priority = 0) =>
  Array.from({ length: count }, (_, index) =>
    machine(`${name}-${index}`, { cores, priority, gang: gang(count, name) }),
  );

/** Rounds over one cluster of hosts with so many cores each; what is placed stays. */
function rounds(...hosts: readonly number[]) {
  const { ledger, placement, add } = cluster();
  const clock = new VirtualClock();
  const room = new GangRoom(ledger, clock);
  for (const [index, cores] of hosts.entries()) add(`h${index}`, cores + 0.5, 262_144);
  let live: readonly VirtualMachine[] = [];
  /** Names that were placed. */
  function round(waiting: readonly VirtualMachine[]) {
    const gangs = gangsOf(waiting, () => live);
    room.look(gangs);
    const sorted = waiting.toSorted(compareMachines);
    const plan = planRound({
      cluster: 'lab',
      ...{ waiting: sorted, ledger, placement, isHeld: () => false, atOnce: 500, gangs: { waiting: gangs, room } },
    });
    const placed = [...plan.planned.values()].flat().map((key) => key.slice('n/'.length));
    live = [...live, ...waiting.filter(({ metadata }) => placed.includes(metadata.name))];
    return { ...plan, placed: placed.toSorted() };
  }
  function lose({ metadata }: VirtualMachine): void {
    ledger.release(metadata.uid);
    live = live.filter((vm) => vm.metadata.uid !== metadata.uid);
  }
  return { ledger, clock, add, round, lose, freeOn: (host: string) => ledger.view(host)!.free.cpu / 1000 };
}

describe('planRound() places a gang as a whole or not at all', () => {
  test('on the hosts that are there, the large ones first', () => {
    const { round } = rounds(8, 8);
    const mixed = [
      machine('s', { cores: 4, gang: gang(3) }),
      machine('t', { cores: 4, gang: gang(3) }),
      machine('l', { cores: 8, gang: gang(3) }),
    ];
    expect(round(mixed)).toMatchObject({ placed: ['l', 's', 't'], together: [['n/l', 'n/s', 'n/t']] });
  });

  test('none of it when one has no room, and says how many have', () => {
    const { round } = rounds(8, 4);
    const { placed, refused } = round(members(4, 4));
    expect(placed).toEqual([]);
    expect(new Set([...refused.values()])).toEqual(
      new Set([
        {
          reason: 'InsufficientCores',
          message:
            'The 4 machines of gang g that wait need room at one time, 3 have it. For the next: 2 hosts: 2 short of cores (largest free 0)',
        },
      ]),
    );
  });

  test('none of it before all of it are there', () => {
    const { round, freeOn } = rounds(64);
    const [first, second] = members(2, 4);
    expect(round([first!]).refused.get('n/g-0')?.reason).toBe('GangIncomplete');
    expect(freeOn('h0')).toBe(64);
    expect(round([first!, second!]).placed).toEqual(['g-0', 'g-1']);
  });

  test('what is lost of it later is placed alone', () => {
    const { round, lose } = rounds(4, 4);
    const [first, second] = members(2, 4);
    expect(round([first!, second!]).placed).toHaveLength(2);
    lose(second!);
    expect(round([second!])).toMatchObject({ placed: ['g-1'], together: [['n/g-1']] });
  });
});

describe('room is kept for a gang that does not fit yet', () => {
  test('so that smaller machines do not take it, until the rest fits', () => {
    const { round, add, freeOn } = rounds(8, 4);
    const waiting = members(4, 4);
    round(waiting);
    expect([freeOn('h0'), freeOn('h1')]).toEqual([0, 0]);
    const small = machine('small', { cores: 1 });
    expect(round([...waiting, small]).placed).toEqual([]);
    add('h2', 4.5, 262_144);
    expect(round([...waiting, small]).placed).toEqual(['g-0', 'g-1', 'g-2', 'g-3']);
  });

  test('for its timeout, then not for as long again', async () => {
    const { round, clock, freeOn } = rounds(8);
    const waiting = members(4, 4);
    round(waiting);
    await clock.advance(10 * 60_000);
    round(waiting);
    expect(freeOn('h0')).toBe(0);
    await clock.advance(1);
    round(waiting);
    expect(freeOn('h0')).toBe(8);
    await clock.advance(9 * 60_000);
    round(waiting);
    expect(freeOn('h0')).toBe(8);
    await clock.advance(60_000);
    round(waiting);
    expect(freeOn('h0')).toBe(0);
  });

  test('for one gang at a time: two halves do not wait for each other', () => {
    const { round } = rounds(8);
    const both = [...members(2, 4, 'a'), ...members(2, 4, 'b')];
    expect(round(both).placed).toEqual(['a-0', 'a-1']);
    const { round: narrow, freeOn, add } = rounds(4);
    expect(narrow(both).placed).toEqual([]);
    expect(freeOn('h0')).toBe(0);
    add('h1', 4.5, 262_144);
    expect(narrow(both).placed).toEqual(['a-0', 'a-1']);
  });

  test('and is given up to machines of higher priority', () => {
    const { round } = rounds(4);
    const waiting = members(2, 4);
    round(waiting);
    expect(round([...waiting, machine('urgent', { cores: 4, priority: 1 })]).placed).toEqual(['urgent']);
  });

  test('and let go of when the gang waits no longer', () => {
    const { round, freeOn } = rounds(4);
    round(members(2, 4));
    round([]);
    expect(freeOn('h0')).toBe(4);
  });
});

test('whatever waits on whatever hosts, a gang is placed as a whole or not at all, and no host gets more than it has', () => {
  const wish = fc.record({
    gang: fc.option(fc.constantFrom('a', 'b', 'c')),
    cores: fc.integer({ min: 1, max: 8 }),
    priority: fc.nat(2),
  });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 16 }), { minLength: 1, maxLength: 6 }),
      fc.array(fc.array(wish, { maxLength: 8 }), { minLength: 1, maxLength: 5 }),
      (hosts, waves) => {
        const { round, freeOn, ledger } = rounds(...hosts);
        let waiting: VirtualMachine[] = [];
        for (const [wave, wishes] of waves.entries()) {
          const sizes = Map.groupBy(wishes, ({ gang }) => gang);
          waiting.push(
            ...wishes.map(({ gang: of, cores, priority }, index) =>
              machine(`${wave}-${index}`, {
                ...{ cores, priority },
                ...(of === null ? {} : { gang: gang(sizes.get(of)!.length, `${wave}${of}`) }),
              }),
            ),
          );
          const { placed } = round(waiting);
          for (const parts of Map.groupBy(waiting, ({ spec }) => spec.gang?.name).values()) {
            if (!parts[0]!.spec.gang) continue;
            const there = parts.filter(({ metadata }) => placed.includes(metadata.name)).length;
            expect([0, parts.length]).toContain(there);
          }
          for (const index of hosts.keys()) expect(freeOn(`h${index}`)).toBeGreaterThanOrEqual(0);
          waiting = waiting.filter(({ metadata }) => !placed.includes(metadata.name));
        }
        // Nothing is kept for what does not wait any more.
        round([]);
        const held = hosts
          .flatMap((_, index) => ledger.machinesOn(`h${index}`))
          .filter((uid) => uid.startsWith('hold/'));
        expect(held).toEqual([]);
      },
    ),
  );
});
