/**
 * What becomes of a machine that has no live attempt: the matrix "run policy" of the published API, as one table. Restarts in place
 * never come here: they happen inside an attempt, on the host. Here an attempt is over, with proof.
 */
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import { timestamp } from '#lib/std/clock.ts';

type Policy = VirtualMachine['spec']['runPolicy'];
type Status = NonNullable<VirtualMachine['status']>;
type ClosedAttempt = NonNullable<Status['attempts']>[number];
type Restarts = NonNullable<Status['restarts']>;

/** How an attempt can end. NeverRan: Mesos dropped the launch before any executor saw it. */
export type EndingCause = 'NeverRan' | 'Shutdown' | 'Crash' | 'Lost' | 'Preempted' | 'Stopped' | 'Impossible';
/** PreemptedOnce stands for: launch again unless its guest was up before. */
type Verdict = 'Run' | 'Stop' | 'Succeed' | 'Fail' | 'FailIfWasReady';

const matrix: Readonly<Record<EndingCause, Readonly<Record<Policy, Verdict>>>> = {
  NeverRan: { Always: 'Run', RerunOnFailure: 'Run', Once: 'Run', Manual: 'Run', Halted: 'Stop' },
  Shutdown: { Always: 'Run', RerunOnFailure: 'Succeed', Once: 'Succeed', Manual: 'Stop', Halted: 'Stop' },
  Crash: { Always: 'Run', RerunOnFailure: 'Run', Once: 'Fail', Manual: 'Stop', Halted: 'Stop' },
  Lost: { Always: 'Run', RerunOnFailure: 'Run', Once: 'Fail', Manual: 'Stop', Halted: 'Stop' },
  Preempted: { Always: 'Run', RerunOnFailure: 'Run', Once: 'FailIfWasReady', Manual: 'Stop', Halted: 'Stop' },
  Stopped: { Always: 'Run', RerunOnFailure: 'Stop', Once: 'Succeed', Manual: 'Stop', Halted: 'Stop' },
  Impossible: { Always: 'Fail', RerunOnFailure: 'Fail', Once: 'Fail', Manual: 'Fail', Halted: 'Stop' },
};

export type Decision =
  /** Launch it; not before notBeforeMs. */
  | { readonly want: 'Run'; readonly notBeforeMs: number }
  /** Off, as the spec (AsDeclared) or an operation or its end under Manual says. */
  | { readonly want: 'Stopped'; readonly reason: string }
  | { readonly want: 'Succeeded' | 'Failed'; readonly reason: string };

export interface Judgement {
  readonly decision: Decision;
  /** What to store with it, so that an attempt is judged once. */
  readonly restarts: Restarts | undefined;
  readonly requestedPower: 'On' | 'Off' | undefined;
}

/** Running this long makes up for the failures before. */
const healthyMs = 10 * 60_000;
const backoffMs = { unit: 10_000, max: 300_000 } as const;

/**
 * Pure. `jitter` is a number in [0, 1) from the run's source of chance: 0.5 adds nothing, the ends take or add a quarter. `asked` is what
 * accepted operations wait for, if any: with no attempt there is no host that could be told.
 */
export function judge(vm: VirtualMachine, nowMs: number, jitter: number, asked?: 'On' | 'Off'): Judgement {
  const judgement = judgeAnew(vm, nowMs, jitter, asked);
  // Off is what a stop left behind; launched with it, the machine would be made and not started.
  return judgement.decision.want === 'Run' && judgement.requestedPower === 'Off'
    ? { ...judgement, requestedPower: undefined }
    : judgement;
}

function judgeAnew(vm: VirtualMachine, nowMs: number, jitter: number, asked: 'On' | 'Off' | undefined): Judgement {
  const status: Status = vm.status ?? {};
  const { restarts } = status;
  const requestedPower = vm.spec.runPolicy === 'Halted' ? status.requestedPower : (asked ?? status.requestedPower);
  if (status.phase === 'Succeeded' || status.phase === 'Failed')
    return { decision: { want: status.phase, reason: readyReason(vm) }, restarts, requestedPower };
  // A machine that was moved as it ran has not ended with the attempt that it left.
  const last = status.attempts
    ?.filter(({ outcome }) => outcome !== 'Migrated')
    .reduce<ClosedAttempt | undefined>((a, b) => ((b.number ?? 0) > (a?.number ?? 0) ? b : a), undefined);
  if (last && (last.number ?? 0) > (restarts?.relaunch ?? 0)) return judgeEnding(vm, last, nowMs, jitter);
  return { decision: standing(vm, requestedPower, asked), restarts, requestedPower };
}

/** No ending to judge: what the spec and the last operation say. */
function standing(
  { spec, status }: VirtualMachine,
  requestedPower: 'On' | 'Off' | undefined,
  asked: 'On' | 'Off' | undefined,
): Decision {
  const { runPolicy } = spec;
  if (runPolicy === 'Halted') return { want: 'Stopped', reason: 'StoppedAsDeclared' };
  if (runPolicy === 'Manual' && requestedPower !== 'On')
    return { want: 'Stopped', reason: status?.lastTermination?.reason ?? 'StoppedAsDeclared' };
  if (runPolicy === 'RerunOnFailure' && requestedPower === 'Off') return { want: 'Stopped', reason: 'StoppedByUser' };
  if (runPolicy === 'Once' && asked === 'Off') return { want: 'Succeeded', reason: 'StoppedByUser' };
  const retryAfter = status?.restarts?.retryAfter;
  return { want: 'Run', notBeforeMs: retryAfter ? Date.parse(retryAfter) : 0 };
}

function judgeEnding(vm: VirtualMachine, last: ClosedAttempt, nowMs: number, jitter: number): Judgement {
  const cause = causeOf(last);
  // Who took the host away is in lastTermination; the policy knows one kind of it.
  const reason = cause === 'Preempted' ? cause : (last.reason ?? cause);
  const { requestedPower } = vm.status ?? {};
  const restarts = countedRestarts(vm, last, cause, nowMs, jitter);
  switch (verdictOf(vm, cause)) {
    case 'Run':
      return {
        decision: { want: 'Run', notBeforeMs: restarts.retryAfter ? Date.parse(restarts.retryAfter) : 0 },
        restarts,
        requestedPower,
      };
    case 'Succeed':
      return { decision: { want: 'Succeeded', reason }, restarts, requestedPower };
    case 'Fail':
      return { decision: { want: 'Failed', reason }, restarts, requestedPower };
    case 'Stop':
      // Off is stored, so that only a Start after this ending brings the machine back. Under Halted only the spec does.
      return {
        decision: { want: 'Stopped', reason: stopReason(vm, reason) },
        restarts,
        requestedPower: vm.spec.runPolicy === 'Halted' ? undefined : 'Off',
      };
  }
}

function verdictOf(vm: VirtualMachine, cause: EndingCause): Exclude<Verdict, 'FailIfWasReady'> {
  const verdict = matrix[cause][vm.spec.runPolicy];
  if (verdict !== 'FailIfWasReady') return verdict;
  return vm.status?.phaseTransitions?.Running === undefined ? 'Run' : 'Fail';
}

const stopReason = (vm: VirtualMachine, reason: string) =>
  vm.spec.runPolicy === 'Halted' ? 'StoppedAsDeclared' : reason;

const readyReason = (vm: VirtualMachine) =>
  vm.status?.conditions?.find(({ type }) => type === 'Ready')?.reason ?? 'Finished';

/** Reads the class that the cluster server gave the ending; what it does not know is a loss. */
export function causeOf({ outcome, class: blame, reason, conflict }: ClosedAttempt): EndingCause {
  if (conflict) return 'NeverRan';
  if (outcome === 'Dropped' || outcome === 'NeverRan') return blame === 'Configuration' ? 'Impossible' : 'NeverRan';
  switch (blame) {
    case 'Configuration':
      return 'Impossible';
    case 'Guest':
      return reason === 'GuestShutdown' ? 'Shutdown' : 'Crash';
    case 'User':
      return 'Stopped';
    case 'Preempted':
      return 'Preempted';
    default:
      return 'Lost';
  }
}

/**
 * `relaunch` marks the attempt as judged: a crash after the write finds nothing left to count. Only crashes and shutdowns of the guest
 * wait from the first time on; for losses the first launch elsewhere is immediate, since the fault was the host's; who was preempted
 * or stopped, or goes on with another address, never waits.
 */
function countedRestarts(
  vm: VirtualMachine,
  last: ClosedAttempt,
  cause: EndingCause,
  nowMs: number,
  jitter: number,
): Restarts {
  const old = vm.status?.restarts;
  const marked: Restarts = { ...(old?.inPlace !== undefined && { inPlace: old.inPlace }), relaunch: last.number ?? 0 };
  if (cause === 'Preempted' || cause === 'Stopped' || cause === 'Impossible' || last.conflict)
    return { ...marked, consecutiveFailures: old?.consecutiveFailures ?? 0 };
  const endedMs = last.ended ? Date.parse(last.ended) : nowMs;
  const running = vm.status?.phaseTransitions?.Running;
  const wasHealthy = running !== undefined && endedMs - Date.parse(running) >= healthyMs;
  const consecutiveFailures = wasHealthy ? 1 : (old?.consecutiveFailures ?? 0) + 1;
  const counted = cause === 'Crash' || cause === 'Shutdown' ? consecutiveFailures : consecutiveFailures - 1;
  const delayMs = retryDelayMs(counted, jitter);
  return { ...marked, consecutiveFailures, ...(delayMs > 0 && { retryAfter: timestamp(endedMs + delayMs) }) };
}

/** 10 s · n², at most 300 s, a quarter more or less by chance; 0 for n = 0. */
export function retryDelayMs(failures: number, jitter: number): number {
  const base = Math.min(backoffMs.max, backoffMs.unit * failures ** 2);
  return Math.round(base * (0.75 + jitter / 2));
}
