/**
 * From `factoryctl apply` of one machine to its guest answering another one on HTTP, and what share of it each step has, on a local cluster
 * of one real host whose executor runs and whose image is there. Times are taken where things happen, all by the clock of one computer: in a watch
 * on the object, by Mesos, in the executor's log. BENCH_APPLIES sets how many machines are made, one after the other (5).
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { masterUrl } from '#cli/local/programs.ts';
import { localPaths, readSettings } from '#cli/local/settings.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { apiVersionOf } from '#lib/api/meta.ts';
import { systemClock } from '#lib/std/clock.ts';
import { operatorClient } from '#mesos/operator.ts';
import { must } from '#test/e2e/local-cluster.ts';
import type { RealCluster } from '#test/e2e/real-cluster.ts';
import { median } from '../compare.ts';
import { namespace, type Probe, startBenchCluster, startProbe, untilNothingIsLeft } from './cluster.ts';

const machines = Number(process.env.BENCH_APPLIES ?? 5);
const hostCpus = 4;

/** In the order of the way, each with what ends it. */
const steps = [
  /** factoryctl starts, and the API server stores the object. */
  'client',
  /** Image, address and size are resolved: phase Scheduling. */
  'controllers',
  /** A host is found and the intent is stored. */
  'scheduler',
  /** The launch is with the executor, which has stored it: TASK_STARTING. */
  'mesos',
  /** Disks, network and definition are made. */
  'provision',
  /** libvirt has started QEMU: TASK_RUNNING. */
  'qemu',
  /** The guest answers. */
  'guest',
] as const;
type Step = (typeof steps)[number];

interface Way {
  readonly ms: Readonly<Record<Step, number>>;
  readonly total: number;
  /** From TASK_RUNNING until the object says so. */
  readonly shown: number;
  readonly deleted: number;
}

export async function apply(): Promise<readonly string[]> {
  await using cluster = await startBenchCluster(hostCpus);
  const ways: Way[] = [];
  // The first one warms up: programs compile, libvirt and QEMU are read from the disk.
  for (let index = 0; index <= machines; index += 1) ways.push(await follow(cluster, `apply-${index}`));
  return inWords(ways.slice(1));
}

function inWords(ways: readonly Way[]): readonly string[] {
  const sum = (of: (way: Way) => number) => ways.reduce((total, way) => total + of(way), 0);
  const all = sum(({ total }) => total);
  const shares = steps.map((step) => {
    const of = ({ ms }: Way) => ms[step];
    return `${step}=${median(ways.map(of)).toFixed(0)}ms,${((100 * sum(of)) / all).toFixed(0)}%`;
  });
  const totals = ways.map(({ total }) => total);
  const guest = sum(({ ms }) => ms.guest + ms.qemu);
  const m = (of: (way: Way) => number) => median(ways.map(of)).toFixed(0);
  return [
    `P9 apply ms=${median(totals).toFixed(0)} range=${Math.min(...totals).toFixed(0)}..${Math.max(...totals).toFixed(0)} oursPercent=${((100 * (all - guest)) / all).toFixed(0)} shownMs=${m(({ shown }) => shown)} deleteMs=${m(({ deleted }) => deleted)} machines=${ways.length}`,
    `P9 apply steps ${shares.join(' ')}`,
  ];
}

async function follow(cluster: RealCluster, name: string): Promise<Way> {
  await using probe = await startProbe(cluster);
  const file = join(cluster.dir, `${name}.yaml`);
  writeFileSync(file, JSON.stringify(machine(name)));
  const started = systemClock.now();
  const seen = watched(cluster, name, probe);
  await must(cluster.factoryctl('apply', '-f', file));
  const { uid, created, scheduling, intent, running, answer } = await seen;
  if (!answer.body.includes(`"instance":"${uid}"`)) throw new Error(`Another guest has answered: ${answer.body}`);
  const task = await taskTimes(cluster, uid);
  const ends = [created, scheduling, intent, task.starting, startedDefining(cluster, uid), task.running, answer.at];
  const ms = Object.fromEntries(steps.map((step, index) => [step, ends[index]! - (ends[index - 1] ?? started)]));
  const deleting = systemClock.monotonic();
  await cluster.client.delete(VirtualMachine, { name, namespace });
  await untilNothingIsLeft(cluster);
  return {
    ms: ms as Record<Step, number>,
    total: answer.at - started,
    shown: running - task.running,
    deleted: systemClock.monotonic() - deleting,
  };
}

/** When each was seen first, in milliseconds since 1970. */
async function watched({ client }: RealCluster, name: string, probe: Probe) {
  const first: Partial<Record<'created' | 'scheduling' | 'intent' | 'running', number>> = {};
  let answer: Promise<{ at: number; body: string }> | undefined;
  const { resourceVersion } = await client.list(VirtualMachine, { namespace });
  for await (const event of client.watch(VirtualMachine, { namespace, resourceVersion })) {
    if (event.type === 'BOOKMARK' || event.object.metadata.name !== name) continue;
    const now = systemClock.now();
    const { metadata, status } = event.object;
    first.created ??= now;
    if (status?.phase === 'Scheduling') first.scheduling ??= now;
    if (status?.attempt) first.intent ??= now;
    if (status?.ip) answer ??= probe.answers(status.ip);
    if (status?.phase !== 'Running' || answer === undefined) continue;
    return { uid: metadata.uid, ...first, running: now, answer: await answer } as const;
  }
  throw new Error(`The watch ended before ${name} ran`);
}

function machine(name: string) {
  const resources = { cores: 1, memory: '128Mi' };
  const spec = { resources, image: { name: 'tiny' }, networks: [{ subnet: namespace }], terminationGracePeriod: '0s' };
  return { apiVersion: apiVersionOf(VirtualMachine), kind: 'VirtualMachine', metadata: { name, namespace }, spec };
}

/** As the executor stamped its updates. */
async function taskTimes({ dir }: RealCluster, uid: string): Promise<{ starting: number; running: number }> {
  await using mesos = operatorClient({ masters: [masterUrl(readSettings(dir)!)], clock: systemClock });
  const { tasks = [] } = await mesos.tasks();
  const statuses = tasks.find(({ task_id }) => task_id.value.startsWith(`vm-${uid}-`))?.statuses ?? [];
  const at = (state: string) => Math.round((statuses.find((each) => each.state === state)?.timestamp ?? NaN) * 1000);
  return { starting: at('TASK_STARTING'), running: at('TASK_RUNNING') };
}

/** When everything was made and the start began, by the executor's log in its sandbox. */
function startedDefining({ dir }: RealCluster, uid: string): number {
  const { mesos } = localPaths(dir);
  const logs = readdirSync(mesos, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('/stderr'));
  const lines = logs.flatMap((name) => readFileSync(join(mesos, name), 'utf8').split('\n'));
  const line = lines.find((text) => text.includes(uid) && text.includes('"to":"Starting"'));
  if (line === undefined) throw new Error(`The executor's log does not say when machine ${uid} was made`);
  return Date.parse((JSON.parse(line) as { time: string }).time);
}
