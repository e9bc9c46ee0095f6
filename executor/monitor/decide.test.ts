import { describe, expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import { type Amounts, amounts, names, nothing } from './amounts.ts';
import type { Books } from './books.ts';
import { type Act, decide, type Input, type Memory, memoryFor, type Place, release } from './decide.ts';
import type { Levels } from './levels.ts';
import { defaultPolicy as policy } from './policy.ts';

const capacity: Amounts = { cpus: 32_000, mem: 65_536, disk: 100_000 };
const share: Amounts = { cpus: 500, mem: 512, disk: 0 };
const start = Date.UTC(2026, 0, 1);
const agentId = 'S1';

const fresh: Books = {
  ...{
    agentId,
    isClosed: false,
    drain: undefined,
    machines: nothing,
    machinesUsed: nothing,
    host: nothing,
    hostUsed: nothing,
  },
  ...{ loose: capacity, looseByMachines: nothing, looseByOthers: nothing },
};

function levels(need: Partial<Amounts>, now: Partial<Amounts> = need, watchedMs = policy.watchMs): Levels {
  return { sinceMs: 0, atMs: watchedMs, need: { ...nothing, ...need }, now: { ...nothing, ...now } };
}

function input(more: Partial<Input> = {}): Input {
  return { levels: levels({}), capacity, books: fresh, share, memory: { agentId }, policy, nowMs: start, ...more };
}

/** As Mesos does it. */
function done(books: Books, act: Act | undefined): Books {
  if (act?.kind === 'Close' || act?.kind === 'Drain') return { ...books, isClosed: true };
  if (act?.kind === 'Reopen') return { ...books, isClosed: false, drain: undefined };
  if (!act) return books;
  const moved = (place: Place, sign: 1 | -1) => amounts((name) => books[place][name] + sign * act.amounts[name]);
  return { ...books, [act.from]: moved(act.from, -1), [act.to]: moved(act.to, 1) };
}

/** A minute after the other, until there is nothing to do. */
function settled(from: Input): { readonly books: Books; readonly acts: readonly Act[] } {
  let { books, memory, nowMs } = from;
  const acts: Act[] = [];
  for (; acts.length < 20; nowMs += policy.changeMs) {
    const { act, memory: next } = decide({ ...from, books, memory, nowMs });
    if (!act) return { books, acts };
    acts.push(act);
    memory = memoryFor(act, next, nowMs);
    books = done(books, act);
  }
  throw new Error(`Never done: ${JSON.stringify(acts.slice(-3))}`);
}

describe('decide', () => {
  test('a host that was never divided: first what services need is kept, then the rest is reserved for machines', () => {
    const { books, acts } = settled(input({ levels: levels({ cpus: 8_000, mem: 16_384, disk: 10_000 }) }));
    expect(acts.map((act) => act.kind === 'Move' && `${act.from} ${act.to}`)).toEqual(['loose host', 'loose machines']);
    // 32 - 8 - (20 % of 8 + 15 % of 32) processors, of which half a one is the executor's.
    expect(books.machines).toEqual({ cpus: 17_100, mem: 65_536 - 16_384 - 4_916 - 512, disk: 80_000 });
    expect(books.loose).toEqual(share);
  });

  test('a need that rises takes back in one call, and gives nothing at the same time', () => {
    const { books } = settled(input({ levels: levels({ cpus: 8_000, mem: 16_384 }) }));
    const { act } = decide(input({ books, levels: levels({ cpus: 10_000, mem: 8_192 }) }));
    expect(act).toEqual({ kind: 'Move', from: 'machines', to: 'host', amounts: { cpus: 2_400, mem: 0, disk: 0 } });
  });

  test('small differences are left, and what is given waits until the host has been watched', () => {
    const { books } = settled(input({ levels: levels({ cpus: 8_000 }) }));
    expect(decide(input({ books, levels: levels({ cpus: 8_200 }) })).act).toBeUndefined();
    expect(decide(input({ books, levels: levels({ cpus: 7_300 }) })).act).toBeUndefined();
    const less = { books, levels: levels({ cpus: 4_000 }) };
    expect(decide(input(less)).act).toMatchObject({ from: 'host', to: 'machines', amounts: { cpus: 4_800 } });
    expect(decide(input({ ...less, levels: levels({ cpus: 4_000 }, {}, policy.watchMs - 1) })).act).toBeUndefined();
  });

  test('one change a minute, also where the clock was set back', () => {
    const at = (changedMs: number) =>
      decide(input({ memory: { agentId, changedMs }, levels: levels({ cpus: 8_000 }) }));
    expect(at(start - policy.changeMs + 1).act).toBeUndefined();
    expect(at(start - policy.changeMs).act).toBeDefined();
    expect(at(start + 86_400_000)).toMatchObject({ act: undefined, notBeforeMs: start + policy.changeMs });
  });

  describe('what services need is in use by machines', () => {
    const { books: divided } = settled(input({ levels: levels({ cpus: 8_000 }) }));
    const books = { ...divided, machinesUsed: divided.machines, looseByMachines: share };
    const short = levels({ cpus: 20_000 });
    const at = (ms: number, memory: Partial<Memory>, more: Partial<Input> = {}) =>
      decide(input({ books, levels: short, nowMs: start + ms, memory: { agentId, ...memory }, ...more }));

    test('it is told, then the agent is closed, then machines have to leave', () => {
      expect(at(0, {})).toMatchObject({ act: undefined, memory: { shortSinceMs: start } });
      expect(at(0, {}).why).toBe('Services are short of cpus 5.6, which machines hold');
      const since = { shortSinceMs: start };
      expect(at(policy.closeAfterMs - 1, since).act).toBeUndefined();
      expect(at(policy.closeAfterMs, since).act).toEqual({ kind: 'Close' });
      const closed = { books: { ...books, isClosed: true } };
      expect(at(policy.evictAfterMs - 1, { ...since, closed: true }, closed).act).toBeUndefined();
      expect(at(policy.evictAfterMs, { ...since, closed: true }, closed).act).toEqual({
        kind: 'Drain',
        graceMs: policy.graceMs,
      });
    });

    test('unless the policy is never to evict', () => {
      const never = { policy: { ...policy, evict: 'Never' as const }, books: { ...books, isClosed: true } };
      expect(at(86_400_000, { shortSinceMs: start, closed: true }, never).act).toBeUndefined();
    });

    test('a need of head-room alone evicts nobody', () => {
      const decision = at(86_400_000, {}, { levels: levels({ cpus: 12_000 }) });
      expect(decision).toMatchObject({ act: undefined, memory: { agentId } });
      expect(decision.why).toBe('Machines use cpus 4.8 of the head-room of services');
    });

    test('what is freed goes to the host, and then the agent is opened again, by who closed it and nobody else', () => {
      const freed = { ...books, isClosed: true, drain: 'DRAINED' as const, machinesUsed: nothing };
      const own = { shortSinceMs: start, closed: true, drained: true };
      const { act } = at(0, own, { books: freed });
      expect(act).toMatchObject({ kind: 'Move', from: 'machines', to: 'host', amounts: { cpus: 14_400 } });
      expect(at(0, own, { books: done(freed, act) }).act).toEqual({ kind: 'Reopen' });
      expect(at(0, {}, { books: done(freed, act) }).act).toBeUndefined();
      expect(at(0, own, { books: { ...done(freed, act), drain: 'DRAINING' } }).act).toBeUndefined();
    });

    test('who opens it by hand is not overruled at once', () => {
      const { act, memory } = at(policy.evictAfterMs, { shortSinceMs: start, closed: true });
      expect(act).toBeUndefined();
      expect(memory).toEqual({ agentId, shortSinceMs: start + policy.evictAfterMs });
    });

    test('an agent that somebody else closed is left to them', () => {
      expect(
        at(policy.evictAfterMs, { shortSinceMs: start }, { books: { ...books, isClosed: true } }).act,
      ).toBeUndefined();
    });
  });

  test('another agent id: what was done to the one before is forgotten', () => {
    const memory = { agentId: 'S0', closed: true, changedMs: start };
    expect(decide(input({ memory })).memory).toEqual({ agentId });
  });
});

test('release gives back all that machines do not use', () => {
  let { books } = settled(input({ levels: levels({ cpus: 8_000, mem: 1_024 }) }));
  books = { ...books, machinesUsed: { cpus: 4_000, mem: 1_024, disk: 0 } };
  for (let act = release(books); act; act = release(books)) books = done(books, act);
  expect(books).toMatchObject({ machines: books.machinesUsed, host: nothing });
});

describe('properties of decide', () => {
  const upTo = (most: Amounts) =>
    fc.record({
      cpus: fc.integer({ min: 0, max: most.cpus }),
      mem: fc.integer({ min: 0, max: most.mem }),
      disk: fc.integer({ min: 0, max: most.disk }),
    });
  /** What Mesos has, divided and used in any way that Mesos allows. */
  const anyBooks = fc
    .tuple(upTo(capacity), upTo(capacity), upTo(capacity), upTo(capacity), upTo(capacity), fc.boolean())
    .map(([a, b, c, d, e, isClosed]): Books => {
      const part = (some: Amounts, of: Amounts) =>
        amounts((name) => Math.floor((some[name] / capacity[name]) * of[name]));
      const machines = part(a, capacity);
      const host = part(
        b,
        amounts((name) => capacity[name] - machines[name]),
      );
      const loose = amounts((name) => capacity[name] - machines[name] - host[name]);
      const looseByMachines = part(c, loose);
      const looseByOthers = part(
        d,
        amounts((name) => loose[name] - looseByMachines[name]),
      );
      return {
        ...fresh,
        isClosed,
        machines,
        host,
        loose,
        looseByMachines,
        looseByOthers,
        machinesUsed: part(e, machines),
      };
    });
  const anyInput = fc
    .tuple(anyBooks, upTo(capacity), upTo(capacity), fc.integer({ min: 0, max: 2 * policy.watchMs }))
    .map(([books, need, now, watchedMs]) => input({ books, levels: levels(need, now, watchedMs) }));

  test('a move is of whole numbers, of what is there and free, and one way', () => {
    fc.assert(
      fc.property(anyInput, (each) => {
        const { act } = decide(each);
        if (act?.kind !== 'Move') return;
        const { books } = each;
        const free = {
          machines: amounts((name) => books.machines[name] - books.machinesUsed[name]),
          host: books.host,
          loose: amounts((name) => books.loose[name] - books.looseByMachines[name] - books.looseByOthers[name]),
        }[act.from];
        expect(act.from).not.toBe(act.to);
        for (const name of names) {
          expect(Number.isInteger(act.amounts[name])).toBe(true);
          expect(act.amounts[name]).toBeGreaterThanOrEqual(0);
          expect(act.amounts[name]).toBeLessThanOrEqual(free[name]);
        }
      }),
    );
  });

  test('a few acts settle it, and then machines have no more than is free, but for what they use', () => {
    fc.assert(
      fc.property(anyInput, (each) => {
        const { books, acts } = settled({ ...each, policy: { ...policy, evict: 'Never' } });
        expect(acts.length).toBeLessThanOrEqual(8);
        for (const name of names) {
          const room = books.machines[name] + books.loose[name] - books.looseByOthers[name];
          const used = books.machinesUsed[name] + books.looseByMachines[name];
          const free = capacity[name] - each.levels.need[name];
          expect(room).toBeLessThanOrEqual(Math.max(free, used, policy.takeStep * capacity[name]));
        }
      }),
    );
  });

  test('nothing is given while something is to be taken back', () => {
    fc.assert(
      fc.property(anyInput, (each) => {
        const { act, desired, room } = decide(each);
        if (act?.kind !== 'Move' || act.to !== 'machines' || act.from !== 'host') return;
        for (const name of names) if (desired[name] < room[name]) expect(act.amounts[name]).toBe(0);
      }),
    );
  });
});
