/**
 * What to do next for one host, from what its services need and what Mesos has of it. Pure: every call begins from what is, so that it does
 * not matter what became of the act before.
 *
 *     room for machines = what the host has - need of its services - head-room
 *                       = reserved for machines + the executor's share, which is not reserved
 *
 * Everything else is reserved for the host's role, in which there is no framework: so Mesos itself keeps machines off it. One act moves one
 * way, and back to the host before anything is given. What machines use cannot be moved: then the agent is closed to new ones, and
 * after a time those that are there are made to leave by a drain of the agent, which the cluster server sees as a partner's reclaim.
 */
import { type Amounts, amounts, described, type Name, positive } from './amounts.ts';
import type { Books } from './books.ts';
import type { Levels } from './levels.ts';
import { headRoom, type Policy } from './policy.ts';

export type Place = 'machines' | 'host' | 'loose';

export type Act =
  | { readonly kind: 'Move'; readonly from: Place; readonly to: Place; readonly amounts: Amounts }
  /** Nothing new starts on the agent; what runs there goes on. */
  | { readonly kind: 'Close' }
  /** What runs there has to leave. */
  | { readonly kind: 'Drain'; readonly graceMs: number }
  | { readonly kind: 'Reopen' };

/** What a monitor must remember of its own acts, through kill -9. Wall clock. */
export interface Memory {
  readonly agentId: string;
  /** When Mesos was last told to change something. */
  readonly changedMs?: number;
  /** Since when services have had less than they need. */
  readonly shortSinceMs?: number;
  /** The agent is closed, and by us. */
  readonly closed?: boolean;
  /** Drained by us, too. */
  readonly drained?: boolean;
}

export interface Input {
  readonly levels: Levels;
  /** What the host has. */
  readonly capacity: Amounts;
  readonly books: Books;
  /** The executor's own: not reserved, since executors must be equal to Mesos on all hosts. */
  readonly share: Amounts;
  readonly memory: Memory;
  readonly policy: Policy;
  /** Wall clock. */
  readonly nowMs: number;
}

export interface Decision {
  /** Room for machines as it should be. */
  readonly desired: Amounts;
  /** As it is. */
  readonly room: Amounts;
  /** undefined: nothing to do, or not yet. */
  readonly act: Act | undefined;
  /** Wall clock: before this nothing is done. */
  readonly notBeforeMs: number;
  readonly memory: Memory;
  /** A sentence without its end, for the log. */
  readonly why: string;
}

export function decide(input: Input): Decision {
  const { books, policy, nowMs } = input;
  const room = roomOf(books);
  const desired = desiredRoom(input, room);
  const targets = targetsOf(books, desired, input.share);
  const move = moveTo(targets, books);
  const shortBy = shortage(input, room);
  const memory = remembered(input, shortBy);
  const owed = positive(amounts((name) => targets.host[name] - books.host[name]));
  const next = actOf(move, { shortBy, owed }, memory, input);
  const notBeforeMs = notBefore(memory, policy, nowMs);
  const act = nowMs >= notBeforeMs ? next?.act : undefined;
  return { desired, room, act, notBeforeMs, memory, why: next?.why ?? 'As it should be' };
}

/** What machines may take, if they take everything that is open to them. */
function roomOf({ machines, loose, looseByOthers }: Books): Amounts {
  return amounts((name) => machines[name] + loose[name] - looseByOthers[name]);
}

/** What the host can spare, where the difference is worth a change; else what is. */
function desiredRoom({ levels, capacity, books, policy }: Input, room: Amounts): Amounts {
  const kept = headRoom(levels.need, capacity, policy);
  const isWatched = levels.atMs - levels.sinceMs >= policy.watchMs;
  return amounts((name) => {
    const most = room[name] + books.host[name];
    const spare = Math.floor(capacity[name] - levels.need[name] - kept[name]);
    const wanted = Math.max(0, Math.min(most, spare));
    const step = wanted - room[name];
    if (step > 0) return isWatched && step >= policy.giveStep * capacity[name] ? wanted : room[name];
    // At the end of a range the last small step is worth it, too.
    return -step >= policy.takeStep * capacity[name] || wanted === 0 ? wanted : room[name];
  });
}

interface Targets {
  readonly machines: Amounts;
  readonly host: Amounts;
  /** Not reserved and not used, to be left so. */
  readonly loose: Amounts;
}

function targetsOf(books: Books, desired: Amounts, share: Amounts): Targets {
  const { machines, machinesUsed, host, loose, looseByMachines, looseByOthers } = books;
  const unreserved = amounts((name) => {
    const left = Math.max(0, desired[name] - machinesUsed[name]);
    return Math.max(looseByMachines[name], Math.min(share[name], left));
  });
  const reserved = amounts((name) => Math.max(0, desired[name] - unreserved[name]));
  return {
    machines: reserved,
    host: amounts(
      (name) => machines[name] + host[name] + loose[name] - looseByOthers[name] - unreserved[name] - reserved[name],
    ),
    loose: amounts((name) => unreserved[name] - looseByMachines[name]),
  };
}

/** The first way on which there is something to move: back to the host first. */
function moveTo(targets: Targets, books: Books): Act | undefined {
  const looseFree = amounts((name) => books.loose[name] - books.looseByMachines[name] - books.looseByOthers[name]);
  const looseSpare = amounts((name) => Math.max(0, looseFree[name] - targets.loose[name]));
  const toHost = amounts((name) => targets.host[name] - books.host[name]);
  const toMachines = amounts((name) => targets.machines[name] - books.machines[name]);
  const machinesFree = amounts((name) => books.machines[name] - books.machinesUsed[name]);
  const ways: readonly (readonly [from: Place, to: Place, of: (name: Name) => number])[] = [
    ['loose', 'host', (name) => Math.min(toHost[name], looseSpare[name])],
    ['machines', 'host', (name) => Math.min(toHost[name], -toMachines[name], machinesFree[name])],
    ['host', 'machines', (name) => Math.min(toMachines[name], -toHost[name], books.host[name] - books.hostUsed[name])],
    ['loose', 'machines', (name) => Math.min(toMachines[name], looseSpare[name])],
    [
      'machines',
      'loose',
      (name) => Math.min(-toMachines[name], targets.loose[name] - looseFree[name], machinesFree[name]),
    ],
    ['host', 'loose', (name) => Math.min(-toHost[name], targets.loose[name] - looseFree[name])],
  ];
  for (const [from, to, of] of ways) {
    const some = positive(amounts(of));
    if (some) return { kind: 'Move', from, to, amounts: some };
  }
  return undefined;
}

/** What services need now and machines may take; undefined: nothing. */
function shortage({ levels, capacity }: Input, room: Amounts): Amounts | undefined {
  return positive(amounts((name) => Math.ceil(levels.now[name] + room[name] - capacity[name])));
}

function remembered({ books, memory: before, nowMs }: Input, shortBy: Amounts | undefined): Memory {
  const own = before.agentId === books.agentId ? before : { agentId: books.agentId };
  // Whoever reactivated our agent meanwhile has decided otherwise: then all begins anew.
  const isOurs = own.closed === true && books.isClosed;
  const { agentId, changedMs, shortSinceMs } = own;
  const wasUndone = own.closed === true && !books.isClosed;
  return {
    agentId,
    ...(changedMs !== undefined && { changedMs }),
    ...(shortBy && { shortSinceMs: (wasUndone ? undefined : shortSinceMs) ?? nowMs }),
    ...(isOurs && { closed: true, ...(own.drained && { drained: true }) }),
  };
}

interface Next {
  readonly act: Act | undefined;
  readonly why: string;
}

interface Lack {
  /** What services need now and machines may take. */
  readonly shortBy: Amounts | undefined;
  /** What is to be kept for the host and is not. */
  readonly owed: Amounts | undefined;
}

function actOf(move: Act | undefined, { shortBy, owed }: Lack, memory: Memory, input: Input): Next | undefined {
  const { books, policy, nowMs } = input;
  if (move?.kind === 'Move') return { act: move, why: `${described(move.amounts)} from ${move.from} to ${move.to}` };
  if (shortBy === undefined) {
    if (owed) return { act: undefined, why: `Machines use ${described(owed)} of the head-room of services` };
    if (!memory.closed || books.drain === 'DRAINING') return undefined;
    return { act: { kind: 'Reopen' }, why: 'Services have what they need again' };
  }
  const why = `Services are short of ${described(shortBy)}, which machines hold`;
  // Where somebody else has closed it, nothing starts and nobody but them opens it.
  if (books.drain !== undefined || (books.isClosed && !memory.closed)) return { act: undefined, why };
  const shortMs = nowMs - memory.shortSinceMs!;
  if (policy.evict === 'Drain' && shortMs >= policy.evictAfterMs)
    return { act: { kind: 'Drain', graceMs: policy.graceMs }, why };
  return { act: shortMs >= policy.closeAfterMs && !memory.closed ? { kind: 'Close' } : undefined, why };
}

/** Of a clock that was set back nothing is believed. */
function notBefore({ changedMs }: Memory, { changeMs }: Policy, nowMs: number): number {
  return changedMs === undefined ? nowMs : Math.min(changedMs, nowMs) + changeMs;
}

/** What is to be remembered before an act is carried out. */
export function memoryFor(act: Act, memory: Memory, nowMs: number): Memory {
  const changed = { ...memory, changedMs: nowMs };
  if (act.kind === 'Close') return { ...changed, closed: true };
  if (act.kind === 'Drain') return { ...changed, closed: true, drained: true };
  return changed;
}

/** Everything given back: for a host whose monitor goes away. */
export function release(books: Books): Act | undefined {
  const places: readonly (readonly ['machines' | 'host', Amounts])[] = [
    ['machines', amounts((name) => books.machines[name] - books.machinesUsed[name])],
    ['host', books.host],
  ];
  for (const [from, free] of places) {
    const some = positive(free);
    if (some) return { kind: 'Move', from, to: 'loose', amounts: some };
  }
  return undefined;
}
