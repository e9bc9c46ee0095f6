/** One trial: faults and churn in rounds, peace and a look after each, then everything is deleted and nothing may be left. */
import { systemClock } from '#lib/std/clock.ts';
import { seededRandom } from '#lib/std/random.ts';
import { observe, runningDomains } from '../../sim-observer.ts';
import { Churn, makeWanted, removeAll, type Wanted } from '../faults/churn.ts';
import { runRounds, sayer, seconds, type TrialOutcome, table, untilNothing } from '../faults/course.ts';
import { hurtProcesses, plan, Striker } from '../faults/striker.ts';
import { unsettled } from '../faults/unsettled.ts';
import { followWishes } from '../faults/wishes.ts';
import { startProcessCluster } from './cluster.ts';
import { type TargetKind, targets } from './targets.ts';
import { keptAlive, remains, wantedStopped } from './verdict.ts';

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

const longestMs = { 'kill -9': 10_000, SIGSTOP: 15_000 } as const;
const ways = ['kill -9', 'SIGSTOP'] as const;
const kinds = Object.keys(targets) as TargetKind[];

const wanted: Omit<Wanted, 'hosts'> = {
  keptAlone: ['kept-alone-0', 'kept-alone-1'],
  pools: ['ebb', 'flow', 'tide'],
  mostReplicas: 4,
  mostAlone: 6,
  longestPauseMs: 1_500,
  memory: '128Mi',
};

export async function runTrial(options: TrialOptions): Promise<TrialOutcome> {
  const { seed, each, rounds, print = () => {} } = options;
  const random = seededRandom(seed);
  const startMs = systemClock.monotonic();
  const say = sayer(print);
  await using cluster = await startProcessCluster();
  const { client, dir, hosts, keeper } = cluster;
  const all = { ...wanted, hosts: hosts.length };
  await makeWanted(client, all);
  await using wishes = await followWishes(client);
  await using observer = observe(dir);
  const striker = new Striker(
    {
      find: async (kind: TargetKind) => await targets[kind](cluster),
      hurt: async (fault, victim) => await hurtProcesses(keeper, fault, victim, say),
    },
    random,
  );
  const churn = new Churn(client, all, seededRandom(seed + 1));
  const blows = kinds.flatMap((kind) => ways.flatMap((way) => Array.from({ length: each }, () => ({ kind, way }))));
  const { failures, settleMs } = await runRounds({
    ...{ faults: plan(blows, longestMs, random), rounds, striker, churn, say },
    unsettled: async () => await unsettled(client, hosts.length, () => runningDomains(dir)),
  });
  const kept = keptAlive(observer, wishes);
  const keptOf = [...wishes.byUid.values()].filter(
    ({ deletionMs, name }) => deletionMs === undefined && name.startsWith('kept-'),
  ).length;
  say('deleting everything');
  await removeAll(client);
  const leaked = await untilNothing(
    async () =>
      Object.entries(await remains(cluster)).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`])),
    say,
  );
  const stopped = wantedStopped(observer, wishes);
  failures.push(...observer.doubles, ...stopped, ...leaked.left.map((what) => `leaked: ${what}`));
  if (failures.length > 0 && options.keepIn) cluster.copyTo(options.keepIn);
  const report = [
    `seed ${seed}, ${((systemClock.monotonic() - startMs) / 60_000).toFixed(1)} minutes, ${churn.steps} steps of churn, ` +
      `${wishes.byUid.size} machines, ${observer.lives.size} of them started, ${observer.looks} looks`,
    table(kinds, ways, striker.done),
    `doubled ${observer.doubles.length}, wanted stopped ${stopped.length}, wanted from first to last ${kept} of ${keptOf}, ` +
      `leaked ${leaked.left.length}`,
    `settled after the last fault in ${settleMs.map(seconds).join(', ')}; everything deleted in ${seconds(leaked.tookMs)}`,
  ].join('\n');
  return { failures, report };
}
