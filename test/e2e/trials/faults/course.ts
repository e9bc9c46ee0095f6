/** The course of a trial: faults and churn in rounds, and peace after each until all is well. And what is said of it. */
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Churn } from './churn.ts';
import type { Fault, Striker, Victim } from './striker.ts';

export interface Course<Kind extends string, Way extends string, V extends Victim> {
  readonly faults: readonly Fault<Kind, Way>[];
  readonly rounds: number;
  readonly striker: Striker<Kind, Way, V>;
  readonly churn: Churn;
  /** What keeps it from being well. */
  unsettled(): Promise<readonly string[]>;
  /** All was well again. */
  settled?(): void;
  readonly say: (line: string) => void;
}

export interface TrialOutcome {
  /** Broken promises; empty if all is well. */
  readonly failures: readonly string[];
  /** For people: counts and verdicts. */
  readonly report: string;
}

const settleWithinMs = 10 * 60_000;
const sayEveryMs = 20_000;

/** Ends early when a promise is broken. */
export async function runRounds<Kind extends string, Way extends string, V extends Victim>({
  faults,
  rounds,
  striker,
  churn,
  unsettled,
  settled = () => {},
  say,
}: Course<Kind, Way, V>): Promise<{ readonly failures: string[]; readonly settleMs: readonly number[] }> {
  const failures: string[] = [];
  const settles = async (when: string) => {
    say(`waiting until all is well ${when}`);
    const { tookMs, left } = await untilNothing(unsettled, say);
    failures.push(...left.map((what) => `not settled ${when}: ${what}`));
    settled();
    return tookMs;
  };
  const settleMs: number[] = [];
  await settles('at first');
  const size = Math.ceil(faults.length / rounds);
  for (let from = 0; from < faults.length && failures.length === 0; from += size) {
    const peace = new AbortController();
    const churning = churn.run(peace.signal);
    const striking = striker.strike(faults.slice(from, from + size)).finally(() => peace.abort());
    for (const { reason } of (await Promise.allSettled([striking, churning])).filter(isRejected))
      failures.push(messageOf(reason));
    settleMs.push(await settles(`after ${striker.done.length} faults`));
  }
  return { failures, settleMs };
}

/** Looks until nothing is left, for ten minutes at most. Says now and then what is. */
export async function untilNothing(
  look: () => Promise<readonly string[]>,
  say: (line: string) => void,
): Promise<{ tookMs: number; left: readonly string[] }> {
  const startMs = systemClock.monotonic();
  let saidMs = startMs;
  for (;;) {
    const left = await look();
    const nowMs = systemClock.monotonic();
    const tookMs = nowMs - startMs;
    if (left.length === 0 || tookMs > settleWithinMs) return { tookMs, left };
    if (nowMs - saidMs > sayEveryMs) {
      saidMs = nowMs;
      say(`still ${left.join('; ')}`);
    }
    await systemClock.sleep(250);
  }
}

function isRejected(result: PromiseSettledResult<unknown>): result is PromiseRejectedResult {
  return result.status === 'rejected';
}

/** Says since when the trial has run. */
export function sayer(print: (line: string) => void): (line: string) => void {
  const startMs = systemClock.monotonic();
  return (line) => print(`${((systemClock.monotonic() - startMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
}

/** How often each way was done to each kind. */
export function table(kinds: readonly string[], ways: readonly string[], done: readonly Fault[]): string {
  const count = (kind: string, way: string) => done.filter((each) => each.kind === kind && each.way === way).length;
  const rows = kinds.map((kind) => [kind, ...ways.map((way) => String(count(kind, way)))]);
  return [['', ...ways], ...rows]
    .map((row) =>
      row
        .map((cell) => cell.padEnd(16))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
