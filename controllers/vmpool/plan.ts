/**
 * What a pool does next: which ordinals to create and which machines to delete. Pure.
 *
 * Who counts as a member: every machine that is not being deleted and has not ended; under runPolicy Once and RerunOnFailure also one
 * that Succeeded, because its work is done and nothing has to replace it. Failed machines are replaced; the last three stay for study.
 * A lost machine is no member either, but keeps its object: it may run. When it answers it counts again, and one of the two goes.
 *
 * A successor waits until the machine before it is proven gone, except for a quarter of the pool, and except for machines on hosts that
 * do not answer: those may stay for hours. So what is taken from the hosts stays near to what was asked for.
 */
import type { VMPool } from '#lib/api/generated/index.ts';
import type { Facts } from './facts.ts';
import { isLost, nextLostMs, pairsOf, unreplaced } from './replacements.ts';
import { scaleInOrder } from './scale-in-order.ts';

/** Creates or deletes of one pass: a bound on what one mistaken look can do before the next. */
export const burst = 100;
/** Failed machines kept for study; so many failures without a success also open the breaker. */
export const failedHistoryLimit = 3;
/** While the breaker is open one machine is tried per period. */
export const probePeriodMs = 5 * 60_000;

export interface NewMachine {
  readonly ordinal: number;
  /** The lost machine that it stands in for. */
  readonly replaces?: Facts;
}

export interface PoolPlan {
  readonly create: readonly NewMachine[];
  readonly remove: readonly Facts[];
  /** Machines too many that are all protected. */
  readonly blocked: number;
  /** Machines missing whose predecessors are not gone yet. */
  readonly held: number;
  /** The breaker is open until then. */
  readonly retryAtMs: number | undefined;
  /** A machine that does not answer will be lost then. */
  readonly lostAtMs: number | undefined;
  /** More is to be done than one pass may do. */
  readonly more: boolean;
}

/** Numbers whose name is in use by any object, ours or not. */
export type TakenOrdinals = Pick<ReadonlySet<number>, 'has'>;

export function planPool(
  spec: VMPool['spec'],
  machines: readonly Facts[],
  takenOrdinals: TakenOrdinals,
  nowMs: number,
): PoolPlan {
  const lostAtMs = nextLostMs(machines, nowMs);
  const lost = machines.filter((facts) => isLost(facts, nowMs));
  const members = membersOf(spec, machines, nowMs);
  const history = expiredFailures(machines);
  if (members.length > spec.replicas) return { ...shrink(spec, members, history), lostAtMs };
  const { maxReplacements = Number.POSITIVE_INFINITY } = spec;
  const missing = spec.replicas - Math.max(0, lost.length - maxReplacements) - members.length;
  const retryAtMs = breakerOpenUntil(machines, nowMs);
  const room = roomFor(spec.replicas, machines, members.length);
  const allowed = retryAtMs === undefined ? Math.max(0, Math.min(missing, room)) : 0;
  const instead = unreplaced(lost, machines);
  return {
    create: lowestFree(takenOrdinals, Math.min(allowed, burst)).map((ordinal, index) => ({
      ordinal,
      ...(index < instead.length && { replaces: instead[index]! }),
    })),
    remove: history.slice(0, burst),
    blocked: 0,
    held: Math.max(0, missing - room),
    retryAtMs: missing > 0 ? retryAtMs : undefined,
    lostAtMs,
    more: allowed > burst || history.length > burst,
  };
}

export function membersOf(spec: VMPool['spec'], machines: readonly Facts[], nowMs: number): readonly Facts[] {
  return wantedOf(spec, machines).filter((facts) => !isLost(facts, nowMs));
}

/** The members, and those that are lost. */
export function wantedOf(spec: VMPool['spec'], machines: readonly Facts[]): readonly Facts[] {
  const { runPolicy = 'Always' } = spec.template.spec;
  const isDone = ({ ended }: Facts) =>
    ended === 'Failed' || (ended === 'Succeeded' && (runPolicy === 'Always' || runPolicy === 'Manual'));
  return machines.filter((facts) => !facts.going && !isDone(facts));
}

function shrink(
  spec: VMPool['spec'],
  members: readonly Facts[],
  history: readonly Facts[],
): Omit<PoolPlan, 'lostAtMs'> {
  const { losers, undecided } = pairsOf(members);
  const surplus = Math.max(0, members.length - spec.replicas - undecided);
  const order = scaleInOrder(spec.scaleIn?.policy ?? 'Default');
  const others = members.filter((facts) => !losers.includes(facts)).toSorted(order);
  const victims = [...losers, ...others].filter((facts) => !facts.protected).slice(0, surplus);
  const remove = [...history, ...victims];
  return {
    create: [],
    remove: remove.slice(0, burst),
    blocked: surplus - victims.length,
    held: 0,
    retryAtMs: undefined,
    more: remove.length > burst,
  };
}

/** Failed machines beyond the history, and every other ended one that is no member; oldest first. */
function expiredFailures(machines: readonly Facts[]): readonly Facts[] {
  const failed = machines.filter(({ ended, going }) => ended === 'Failed' && !going).toSorted(byAge);
  return failed.slice(0, Math.max(0, failed.length - failedHistoryLimit));
}

const byAge = (a: Facts, b: Facts) => a.createdMs - b.createdMs || a.ordinal - b.ordinal;

function roomFor(replicas: number, machines: readonly Facts[], members: number): number {
  const leaving = machines.filter(({ going, ended, unreachable }) => going && !ended && !unreachable).length;
  return Math.max(0, replicas + Math.floor(replicas / 4) - leaving - members);
}

/** Failures since the last success: machines that failed and are younger than the youngest ready one. */
function breakerOpenUntil(machines: readonly Facts[], nowMs: number): number | undefined {
  const success = latest(machines.filter((one) => one.ready).map((one) => one.createdMs));
  const failed = machines.filter(
    ({ ended, outdated, createdMs }) => ended === 'Failed' && !outdated && createdMs > success,
  );
  if (failed.length < failedHistoryLimit) return undefined;
  const lastMs = latest(failed.map(failedAtMs));
  return lastMs + probePeriodMs > nowMs ? lastMs + probePeriodMs : undefined;
}

/** Not Math.max(...times): a pool may have more machines than a call may have arguments. */
const latest = (times: readonly number[]) => times.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

function failedAtMs({ vm, createdMs }: Facts): number {
  const failed = vm.status?.phaseTransitions?.Failed;
  return failed ? Date.parse(failed) : createdMs;
}

function lowestFree(taken: TakenOrdinals, count: number): readonly number[] {
  const free: number[] = [];
  for (let ordinal = 0; free.length < count; ordinal++) if (!taken.has(ordinal)) free.push(ordinal);
  return free;
}
