/**
 * Whether the mount that holds the images can be used, and when it is to be repaired. Pure: `(state, seen, now) -> { state, report, repair }`.
 *
 * One look that stays without an answer is not believed: Gluster gives up a brick that it does not hear of after 42 s
 * (`network.ping-timeout`), and everything waits meanwhile. A mount that stayed silent for longer than that ever takes hangs for good. Guests
 * that run have its images open: what they have not read yet they would never get after a repair, so while there are any it waits for them.
 */
import type { StorageReason, StorageReport } from '#lib/api/messages.ts';

/** What one look at the mount came to. */
export type Look =
  | { readonly outcome: 'Answers' }
  /** Nothing in time; or what was asked before has not ended yet. */
  | { readonly outcome: 'Silent' }
  | { readonly outcome: 'Refuses'; readonly message: string };

export interface StoreSeen {
  readonly look: Look;
  /** A program of the host answers for the mount. */
  readonly hasClient: boolean;
  /** Guests that run and have files of it open, by uid or process. Asked for only where they matter. */
  readonly users: readonly string[];
  /** QEMUs that were killed and do not end, by uid. */
  readonly stuck: readonly string[];
}

export interface StoreState {
  /** Monotonic: the first of the looks without an answer since the last one that had one. */
  readonly badSinceMs?: number;
  readonly badLooks: number;
  /** Monotonic: since when a QEMU does not end. */
  readonly stuckSinceMs?: number;
  /** Monotonic. */
  readonly repairedMs?: number;
}

export interface StoreVerdict {
  readonly state: StoreState;
  readonly report: StorageReport;
  readonly repair: boolean;
  readonly nextLookMs: number;
}

export interface StoreTimes {
  readonly everyMs: number;
  /** How long it must have hung before it is repaired. Longer than a passing failure of a brick takes. */
  readonly hungMs: number;
  /** A client that died is mounted anew after this, unless whoever keeps it has done it. */
  readonly staleMs: number;
}

export const storeTimes: StoreTimes = { everyMs: 10_000, hungMs: 90_000, staleMs: 20_000 };

export const healthyStore: StoreState = { badLooks: 0 };

/** So many in a row are believed. */
const believedLooks = 2;
const repairLooks = 4;
const backoffFirstMs = 5_000;
const backoffMaxMs = 20_000;
/** A QEMU that needs this long to end after it was killed is stuck (api.md: QemuStuck). */
const stuckMs = 60_000;
/** What a repair did not help with the next one will not, either. */
const repairAgainMs = 300_000;
const namedMax = 5;

export function judgeStore(before: StoreState, seen: StoreSeen, nowMs: number, times: StoreTimes): StoreVerdict {
  const state = counted(before, seen, nowMs);
  const badMs = state.badSinceMs === undefined ? 0 : nowMs - state.badSinceMs;
  const isBelieved = state.badLooks >= believedLooks;
  const isStale = !seen.hasClient && state.badLooks > 0;
  const isHung = seen.look.outcome === 'Silent' && state.badLooks >= repairLooks && badMs >= times.hungMs;
  const stuckForMs = state.stuckSinceMs === undefined ? 0 : nowMs - state.stuckSinceMs;
  const isHeld = seen.users.length > 0;
  const isDue = isStale ? isBelieved && badMs >= times.staleMs : !isHeld && (isHung || stuckForMs >= times.hungMs);
  const repair = isDue && nowMs - (state.repairedMs ?? Number.NEGATIVE_INFINITY) >= repairAgainMs;
  const nextLookMs =
    state.badLooks === 0 ? times.everyMs : Math.min(backoffMaxMs, backoffFirstMs * 2 ** (state.badLooks - 1));
  return {
    state: repair ? { ...state, repairedMs: nowMs } : state,
    report: reportOf(seen, { isBelieved, isStale, isStuck: stuckForMs >= stuckMs }),
    repair,
    nextLookMs: Math.min(times.everyMs, nextLookMs),
  };
}

function counted(before: StoreState, { look, stuck }: StoreSeen, nowMs: number): StoreState {
  const { repairedMs, badSinceMs = nowMs, stuckSinceMs = nowMs } = before;
  const isGood = look.outcome === 'Answers';
  return {
    badLooks: isGood ? 0 : before.badLooks + 1,
    ...(isGood ? {} : { badSinceMs }),
    ...(stuck.length === 0 ? {} : { stuckSinceMs }),
    ...(repairedMs === undefined ? {} : { repairedMs }),
  };
}

/** The message has no figures that change with every look: it is told to the control plane whenever it does. */
function reportOf(
  seen: StoreSeen,
  { isBelieved, isStale, isStuck }: { isBelieved: boolean; isStale: boolean; isStuck: boolean },
): StorageReport {
  const { look, users, stuck } = seen;
  if (isBelieved && isStale)
    return bad('Stale', 'The client of the mount of the images is gone; it is mounted anew in a moment');
  if (isBelieved && look.outcome === 'Silent')
    return bad('Hung', `The mount of the images does not answer. ${afterwards(users)}`);
  if (isBelieved && look.outcome === 'Refuses')
    return bad('StoreFailed', `The store of images cannot be used: ${look.message}`);
  if (isStuck)
    return bad(
      'QemuStuck',
      `QEMU of ${listed(stuck)} was killed and does not end: it waits in the kernel for a file system. ${afterwards(users)}`,
    );
  return { usable: true, reason: 'Answers', message: '' };
}

function afterwards(users: readonly string[]): string {
  if (users.length === 0) return 'It is mounted anew once it was silent for longer than a brick that fails takes';
  const they = users.length === 1 ? 'the machine' : `the ${users.length} machines`;
  return `It is mounted anew as soon as ${they} that run on it are off: drain the host, or stop or restart ${listed(users)}`;
}

function listed(names: readonly string[]): string {
  const sorted = names.toSorted();
  const more = sorted.length > namedMax ? ` and ${sorted.length - namedMax} more` : '';
  return `${sorted.slice(0, namedMax).join(', ')}${more}`;
}

function bad(reason: StorageReason, message: string): StorageReport {
  return { usable: false, reason, message };
}
