/**
 * One trial of the lab: real hosts lose power, link and processes at random while machines come, go, restart and are moved as they run. Peace
 * and a look after each round; then everything is deleted and nothing may be left.
 */
import { Subnet } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { type Random, seededRandom } from '#lib/std/random.ts';
import { must } from '../../local-cluster.ts';
import type { Holdings } from '../../real-cluster.ts';
import { tracer } from '../../traces.ts';
import { Churn, isKept, makeWanted, namespace, type Wanted } from '../faults/churn.ts';
import { runRounds, sayer, seconds, type TrialOutcome, table, untilNothing } from '../faults/course.ts';
import { type Fault, plan, Striker } from '../faults/striker.ts';
import { unsettled } from '../faults/unsettled.ts';
import { followWishes, type Wishes } from '../faults/wishes.ts';
import { type Adoption, Adoptions, adoptedWithinMs, isAdoption } from './adoption.ts';
import { type Lab, startLab } from './cluster.ts';
import { openEye } from './eye.ts';
import { hurt } from './harm.ts';
import { Ledger } from './ledger.ts';
import { type LabObserver, observe } from './observer.ts';
import { Operations } from './operations.ts';
import { find, kinds, type LabKind, type LabVictim, type LabWay, passes, ways } from './targets.ts';

export interface LabTrialOptions {
  readonly seed: number;
  /** So many, of each kind and way about as many as of any other. */
  readonly faults: number;
  readonly rounds: number;
  /** Told of every fault. */
  readonly print?: (line: string) => void;
  /** If a promise was broken, logs are copied there. */
  readonly keepIn?: string;
}

const together = 2;
const longestMs = { 'kill -9': 8_000, SIGSTOP: 15_000, 'power cut': 10_000, 'link down': 15_000 } as const;
/** Of the trial itself, one on each host. */
const eyeAddresses = ['10.66.0.2', '10.66.0.3', '10.66.0.4'];

const wanted: Omit<Wanted, 'hosts'> = {
  // Those of the pool have nowhere to go: they are at every host.
  keptAlone: ['kept-mover-a', 'kept-mover-b'],
  pools: ['tide'],
  mostReplicas: 2,
  mostAlone: 1,
  longestPauseMs: 10_000,
  memory: '96Mi',
  excludeIPs: eyeAddresses,
};

export async function runLabTrial(options: LabTrialOptions): Promise<TrialOutcome> {
  const { seed, rounds, print = () => {} } = options;
  const startMs = systemClock.monotonic();
  const say = sayer(print);
  say(`seed ${seed}: starting three hosts`);
  await using lab = await startLab();
  const { client } = lab.cluster;
  const before = await lab.cluster.holdings();
  const all = { ...wanted, hosts: lab.hosts.length };
  await makeWanted(client, all);
  const failures: string[] = [];
  try {
    const outcome = await beFaulty(lab, all, options, say);
    failures.push(...outcome.failures);
    say('deleting everything');
    const deleted = await deleteAll(lab, before, say);
    failures.push(...deleted.left.map((what) => `leaked: ${what}`));
    // Of what comes now nothing would be left to be looked at.
    if (failures.length > 0 && options.keepIn) lab.copyTo(options.keepIn);
    const traces = await takeDown(lab);
    failures.push(...traces);
    const minutes = ((systemClock.monotonic() - startMs) / 60_000).toFixed(1);
    const leaked = deleted.left.length + traces.length;
    const last = `leaked ${leaked}; everything deleted in ${seconds(deleted.tookMs)}`;
    return {
      failures,
      report: [`seed ${seed}, ${minutes} minutes, ${rounds} rounds`, ...outcome.report, last].join('\n'),
    };
  } catch (error) {
    if (options.keepIn) lab.copyTo(options.keepIn);
    throw error;
  }
}

interface Faulted {
  readonly failures: readonly string[];
  readonly report: readonly string[];
}

async function beFaulty(
  lab: Lab,
  all: Wanted,
  { seed, faults: count, rounds }: LabTrialOptions,
  say: (line: string) => void,
): Promise<Faulted> {
  const { client } = lab.cluster;
  const random = seededRandom(seed);
  const ledger = new Ledger();
  await using stack = new AsyncDisposableStack();
  const wishes = stack.use(await followWishes(client));
  const vni = await vniOf(lab);
  const eyes = [];
  for (const [at, host] of lab.hosts.entries())
    eyes.push(stack.use(await openEye(host, vni, `${eyeAddresses[at]}/24`)));
  const observer = stack.use(observe(lab, ledger, wishes, eyes));
  const operations = new Operations(client, seededRandom(seed + 2), (uid) => ledger.disturb(uid));
  const adoptions = new Adoptions(lab, ledger, say);
  const moving = { ...{ operations, observer, random: seededRandom(seed + 3) }, struck: 0 };
  const striker = strikerOf(lab, { ledger, adoptions, moving }, random, say);
  const byUsers = { restart: () => operations.restart(), migrate: () => operations.migrate() };
  const churn = new Churn(client, { ...all, ...byUsers }, seededRandom(seed + 1));
  let keptAtFirst: readonly string[] | undefined;
  const { failures, settleMs } = await runRounds({
    ...{ rounds, striker, churn, say },
    faults: passes(count).flatMap((blows) => plan(blows, longestMs, random)),
    unsettled: async () => {
      await adoptions.idle();
      return [
        ...(await unsettled(client, lab.hosts.length, () => observer.running())),
        ...observer.hidden(),
        ...(await operations.unfinished()),
        ...(find(lab, 'brick').length === lab.hosts.length ? [] : ['a brick does not run']),
      ];
    },
    settled: () => {
      ledger.settle();
      keptAtFirst ??= keptOf(wishes);
      say(`so far doubled ${ledger.doubled.length}, restarted without a reason ${ledger.restarted.length}`);
      for (const broken of [...ledger.doubled, ...ledger.restarted]) say(broken);
    },
  });
  const keptNow = keptOf(wishes);
  const lost = (keptAtFirst ?? []).filter((uid) => !keptNow.includes(uid));
  failures.push(...ledger.doubled, ...ledger.restarted, ...adoptions.failures);
  failures.push(...lost.map((uid) => `${uid} was wanted all the time and is not there any more`));
  return {
    failures,
    report: [
      table(kinds, ways, striker.done),
      `${striker.done.length} faults, ${churn.steps} steps of churn, ${operations.restarts} of them restarts, ${wishes.byUid.size} machines, ${ledger.seen} of them spoke`,
      ...operations.movesReport(),
      `${moving.struck} faults struck while a machine was on its way`,
      looksOf(observer),
      `doubled ${ledger.doubled.length}, restarted without a reason ${ledger.restarted.length}, wanted from first to last ${keptNow.length - lost.length} of ${keptAtFirst?.length}`,
      ...adoptionReport(adoptions.done),
      `settled after the last fault in ${settleMs.map(seconds).join(', ')}`,
    ],
  };
}

async function vniOf({ cluster }: Lab): Promise<number> {
  const deadline = systemClock.monotonic() + 30_000;
  for (;;) {
    const { status } = await cluster.client.get(Subnet, { name: 'net', namespace });
    if (status?.vni !== undefined) return status.vni;
    if (systemClock.monotonic() > deadline) throw new Error('The subnet has no number');
    await systemClock.sleep(200);
  }
}

/** A guest's third crash within ten minutes sends it to another host, with a new disk: that is not what is tried here. */
const mostCrashes = 2;

interface Moving {
  readonly operations: Operations;
  readonly observer: LabObserver;
  readonly random: Random;
  /** Faults that came while a machine was on its way. */
  struck: number;
}

interface Judges {
  readonly ledger: Ledger;
  readonly adoptions: Adoptions;
  readonly moving: Moving;
}

const onItsWayWithinMs = 8_000;
const furtherMs = 2_000;

/** A machine is sent on its way, and is anywhere on it when this ends, or has arrived. If none can be moved soon there is none. */
async function sendOnItsWay({ operations, observer, random }: Moving): Promise<void> {
  await operations.migrate();
  const deadline = systemClock.monotonic() + onItsWayWithinMs;
  while (!observer.isMoving() && systemClock.monotonic() < deadline) await systemClock.sleep(50);
  await systemClock.sleep(random.next() * furtherMs);
}

function strikerOf(
  lab: Lab,
  { ledger, adoptions, moving }: Judges,
  random: Random,
  say: (line: string) => void,
): Striker<LabKind, LabWay, LabVictim> {
  const crashes = new Map<string, number>();
  let looked = 0;
  return new Striker(
    {
      async find(kind: LabKind) {
        looked += 1;
        if (looked % 2 === 0) await sendOnItsWay(moving);
        return find(lab, kind).filter(({ qemu }) => !qemu || (crashes.get(qemu.uid) ?? 0) < mostCrashes);
      },
      async hurt(fault: Fault<LabKind, LabWay>, victim: LabVictim) {
        const { host } = victim;
        const { uid } = victim.qemu ?? {};
        if (uid !== undefined && fault.way === 'kill -9') crashes.set(uid, (crashes.get(uid) ?? 0) + 1);
        if (moving.observer.isMoving()) moving.struck += 1;
        await adoptions.begin(host.name, fault.kind);
        try {
          await hurt(
            { lab, disturb: (each) => ledger.disturb(each), interrupt: (each) => ledger.interrupt(each), print: say },
            fault,
            victim,
          );
        } finally {
          adoptions.end(host.name);
        }
      },
    },
    random,
    together,
  );
}

/** uids of the machines that are wanted from the beginning to the end. */
function keptOf({ byUid }: Wishes): readonly string[] {
  return [...byUid].flatMap(([uid, { name, deletionMs }]) => (isKept(name) && deletionMs === undefined ? [uid] : []));
}

function looksOf({ looks }: LabObserver): string {
  const { processes, libvirt, unanswered, pages } = looks;
  return `looks: ${processes} at all processes, ${libvirt} answers of libvirt (${unanswered} times none), ${pages} pages of guests`;
}

function adoptionReport(done: readonly Adoption[]): readonly string[] {
  const of = (what: string, its: readonly Adoption[]) => {
    const took = its.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    if (took.length === 0) return [];
    return [
      `${what}: ${took.length}, p50 ${seconds(took[Math.floor(took.length / 2)]!)}, max ${seconds(took.at(-1)!)}`,
    ];
  };
  const alone = (kind: LabKind) => done.filter((each) => isAdoption(each) && each.kinds.every((its) => its === kind));
  return [
    ...of(`adopted (within ${adoptedWithinMs / 1000} s)`, done.filter(isAdoption)),
    ...(['worker', 'supervisor', 'agent', 'libvirtd'] as const).flatMap((kind) => of(`  after ${kind}`, alone(kind))),
    ...of(
      'all as before after a power cut',
      done.filter(({ kinds: its }) => its.includes('host')),
    ),
    ...of(
      'all as before after other faults',
      done.filter((each) => !isAdoption(each) && !each.kinds.includes('host')),
    ),
  ];
}

/** All machines and what belongs to them. What is left is not as it was before. */
async function deleteAll(
  { cluster }: Lab,
  before: Holdings,
  say: (line: string) => void,
): Promise<{ tookMs: number; left: readonly string[] }> {
  await must(cluster.factoryctl('delete', 'namespace', namespace, '--timeout=3m'));
  return await untilNothing(async () => {
    try {
      return differences(cluster.dir, before, await cluster.holdings());
    } catch (error) {
      return [messageOf(error)];
    }
  }, say);
}

/** The hosts too, of which nothing may be left either. */
async function takeDown({ cluster, keeper }: Lab): Promise<readonly string[]> {
  const traces = tracer(cluster.dir);
  await keeper[Symbol.asyncDispose]();
  await must(cluster.factoryctl('local', 'down', '--dir', cluster.dir));
  return Object.entries(traces()).flatMap(([what, its]) =>
    its.length === 0 ? [] : [`local down left ${what}: ${its.join(', ')}`],
  );
}

/** Of mounts those of the cluster: a host that boots sees what others, also other hosts of it, have mounted on the computer by then. */
function differences(dir: string, before: Holdings, now: Holdings): readonly string[] {
  const isAsked = (what: keyof Holdings, each: string) =>
    what !== 'mounts' || (each.includes(dir) && !isOfAnother(each));
  return (Object.keys(before) as (keyof Holdings)[]).flatMap((what) => {
    const [was, is] = [before, now].map((all) => all[what].filter((each) => isAsked(what, each)));
    const more = without(is!, was!).map((each) => `${what}: ${each}`);
    const gone = without(was!, is!).map((each) => `${what}, not there any more: ${each}`);
    return [...more, ...gone];
  });
}

/** Each as often as it is in one list more than in the other. */
function without(list: readonly string[], others: readonly string[]): readonly string[] {
  const left = [...others];
  return list.filter((each) => {
    const at = left.indexOf(each);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** Seen by one host in the directory of another. */
function isOfAnother(mount: string): boolean {
  const [, seer, owner] = /^(\S+) .*\/hosts\/([^/ ]+)\/\S*$/.exec(mount) ?? [];
  return owner !== undefined && owner !== seer;
}
