/** One trial: faults and churn in rounds, peace and a look after each, then everything is deleted and nothing may be left. */
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { seededRandom } from '#lib/std/random.ts';
import { observe } from '../../sim-observer.ts';
import { Churn, makeWanted, removeAll } from './churn.ts';
import { startProcessCluster } from './cluster.ts';
import { type Fault, plan, Striker, ways } from './faults.ts';
import { type TargetKind, targets } from './targets.ts';
import { keptAlive, remains, unsettled, wantedStopped } from './verdict.ts';
import { followWishes } from './wishes.ts';

export interface TrialOptions {
  readonly seed: number;
  /** So many of each way to each kind of process. */
  readonly each: number;
  readonly rounds: number;
  /** Told of every fault. */
  readonly print?: (line: string) => void;
  /** If a promise was broken, the cluster's files are copied there. */
  readonly keepIn?: string;
}

export interface TrialOutcome {
  /** Broken promises; empty if all is well. */
  readonly failures: readonly string[];
  /** For people: counts and verdicts. */
  readonly report: string;
}

const settleWithinMs = 10 * 60_000;

export async function runTrial(options: TrialOptions): Promise<TrialOutcome> {
  const { seed, each, rounds, print = () => {} } = options;
  const random = seededRandom(seed);
  const startMs = systemClock.monotonic();
  const say = (line: string) =>
    print(`${((systemClock.monotonic() - startMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  await using cluster = await startProcessCluster();
  const { client } = cluster;
  await makeWanted(client, cluster.hosts.length);
  await using wishes = await followWishes(client);
  await using observer = observe(cluster.dir);
  const striker = new Striker(cluster, random, say);
  const churn = new Churn(client, seededRandom(seed + 1));
  const failures: string[] = [];
  const settleMs: number[] = [];
  const settles = async (when: string) => {
    say(`waiting until all is well ${when}`);
    const { tookMs, left } = await until(async () => await unsettled(cluster));
    failures.push(...left.map((what) => `not settled ${when}: ${what}`));
    return tookMs;
  };
  await settles('at first');
  const faults = plan(Object.keys(targets) as TargetKind[], each, random);
  const size = Math.ceil(faults.length / rounds);
  for (let from = 0; from < faults.length && failures.length === 0; from += size) {
    const peace = new AbortController();
    const churning = churn.run(peace.signal);
    const striking = striker.strike(faults.slice(from, from + size)).finally(() => peace.abort());
    for (const { reason } of (await Promise.allSettled([striking, churning])).filter(isRejected))
      failures.push(messageOf(reason));
    settleMs.push(await settles(`after ${striker.done.length} faults`));
  }
  const kept = keptAlive(observer, wishes);
  const keptOf = [...wishes.byUid.values()].filter(
    ({ deletionMs, name }) => deletionMs === undefined && name.startsWith('kept-'),
  ).length;
  say('deleting everything');
  await removeAll(client);
  const leaked = await until(async () =>
    Object.entries(await remains(cluster)).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`])),
  );
  const stopped = wantedStopped(observer, wishes);
  failures.push(...observer.doubles, ...stopped, ...leaked.left.map((what) => `leaked: ${what}`));
  if (failures.length > 0 && options.keepIn) cluster.copyTo(options.keepIn);
  const report = [
    `seed ${seed}, ${((systemClock.monotonic() - startMs) / 60_000).toFixed(1)} minutes, ${churn.steps} steps of churn, ` +
      `${wishes.byUid.size} machines, ${observer.lives.size} of them started, ${observer.looks} looks`,
    table(striker.done),
    `doubled ${observer.doubles.length}, wanted stopped ${stopped.length}, wanted from first to last ${kept} of ${keptOf}, ` +
      `leaked ${leaked.left.length}`,
    `settled after the last fault in ${settleMs.map(seconds).join(', ')}; everything deleted in ${seconds(leaked.tookMs)}`,
  ].join('\n');
  return { failures, report };
}

/** Looks until nothing is left, or for as long as settleWithinMs. */
async function until(look: () => Promise<readonly string[]>): Promise<{ tookMs: number; left: readonly string[] }> {
  const startMs = systemClock.monotonic();
  for (;;) {
    const left = await look();
    const tookMs = systemClock.monotonic() - startMs;
    if (left.length === 0 || tookMs > settleWithinMs) return { tookMs, left };
    await systemClock.sleep(250);
  }
}

function isRejected(result: PromiseSettledResult<unknown>): result is PromiseRejectedResult {
  return result.status === 'rejected';
}

function table(done: readonly Fault[]): string {
  const kinds = Object.keys(targets);
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

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
