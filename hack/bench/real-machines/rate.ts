/**
 * Machines per minute on one host: a pool of them, from its creation until every guest answers on HTTP, on a local cluster of one real host;
 * whose time of the processor that takes, and how many it would be if guests needed all of the processor and everything else none.
 * BENCH_RATE sets another size of the pool (8).
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { marker } from '#cli/local/programs.ts';
import { VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { apiVersionOf } from '#lib/api/meta.ts';
import { systemClock } from '#lib/std/clock.ts';
import { processesMarked } from '#lib/std/process-identity.ts';
import { commandOf, type RealCluster } from '#test/e2e/real-cluster.ts';
import { cpuSecondsWithCommands, until } from '../programs.ts';
import { namespace, type Probe, startBenchCluster, startProbe, untilNothingIsLeft } from './cluster.ts';

const size = Number(process.env.BENCH_RATE ?? 8);
/** Of the processor, from which on it is what holds everything up. */
const fullyBusy = 0.85;
const pool = { name: 'rate', namespace };
const parts = ['qemu', 'libvirt', 'executor', 'controlPlane', 'probe'] as const;
type Part = (typeof parts)[number];

/** Seconds of the processor. */
interface Used {
  readonly by: Readonly<Record<Part, number>>;
  /** Of all processes of this computer, and with the time in which nobody wanted it. */
  readonly busy: number;
  readonly all: number;
}

export async function rate(): Promise<readonly string[]> {
  await using cluster = await startBenchCluster(size);
  await using probe = await startProbe(cluster);
  const before = used(cluster, probe);
  const started = systemClock.now();
  await scale(cluster, size);
  const answers = await answersOf(cluster, probe);
  const after = used(cluster, probe);
  const instances = new Set(answers.map(({ body }) => /"instance":"([^"]+)"/.exec(body)?.[1]));
  if (instances.size !== size) throw new Error(`${instances.size} guests have answered, not ${size}`);
  const seconds = answers.map(({ at }) => (at - started) / 1000).sort((a, b) => a - b);
  const removing = systemClock.monotonic();
  await cluster.client.delete(VMPool, pool);
  await untilNothingIsLeft(cluster);
  return inWords(seconds, (systemClock.monotonic() - removing) / 1000, before, after);
}

function inWords(seconds: readonly number[], deleteSeconds: number, before: Used, after: Used): readonly string[] {
  const last = seconds.at(-1)!;
  const perMinute = (60 * size) / last;
  const by = (part: Part) => after.by[part] - before.by[part];
  const busy = after.busy - before.busy;
  const ceiling = (60 * size * availableParallelism()) / by('qemu');
  const other = busy - parts.reduce((sum, part) => sum + by(part), 0);
  const shares = [...parts.map((part) => [part, by(part)] as const), ['other', other] as const];
  const busyShare = busy / (after.all - before.all);
  const [largest] = shares.toSorted(([, a], [, b]) => b - a)[0]!;
  const bound = busyShare < fullyBusy ? 'waiting' : `processor,${largest}`;
  return [
    `P9 rate machinesPerMinute=${perMinute.toFixed(1)} ceilingOfGuests=${ceiling.toFixed(1)} ratio=${(perMinute / ceiling).toFixed(2)} machines=${size} firstSeconds=${seconds[0]!.toFixed(1)} lastSeconds=${last.toFixed(1)} deleteSeconds=${deleteSeconds.toFixed(1)}`,
    `P9 rate bound=${bound} busyPercent=${(100 * busyShare).toFixed(0)} cpuSecondsPerMachine ${shares.map(([name, cpu]) => `${name}=${(cpu / size).toFixed(2)},${((100 * cpu) / busy).toFixed(0)}%`).join(' ')}`,
  ];
}

async function scale({ client }: RealCluster, replicas: number): Promise<void> {
  const resources = { cores: 1, memory: '128Mi' };
  const machine = { resources, image: { name: 'tiny' }, networks: [{ subnet: namespace }] };
  const spec = { replicas, template: { spec: { ...machine, terminationGracePeriod: '0s' } } };
  await client.create(VMPool, { apiVersion: apiVersionOf(VMPool), kind: 'VMPool', metadata: pool, spec });
}

/** Each guest is asked as soon as its address is known. */
async function answersOf({ client }: RealCluster, probe: Probe) {
  const asked = new Map<string, ReturnType<Probe['answers']>>();
  await until('the addresses', async () => {
    const { items } = await client.list(VirtualMachine, { namespace });
    for (const { status } of items)
      if (status?.ip && !asked.has(status.ip)) asked.set(status.ip, probe.answers(status.ip));
    return asked.size === size;
  });
  return await Promise.all(asked.values());
}

function used(cluster: RealCluster, probe: Probe): Used {
  const by = { qemu: 0, libvirt: 0, executor: 0, controlPlane: 0, probe: cpuSecondsWithCommands(probe.pid) };
  const qemus = new Set(Object.values(cluster.qemus()));
  for (const pid of qemus) by.qemu += cpuSecondsWithCommands(pid);
  for (const { pid } of processesMarked(marker, cluster.dir))
    if (!qemus.has(pid)) by[partOf(commandOf(pid))] += cpuSecondsWithCommands(pid);
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.split(/\s+/);
  // user nice system idle iowait irq softirq; guests of KVM are in user already.
  const [user, nice, system, idle, iowait, irq, softirq] = ticks.map((text) => Number(text) / 100);
  const busy = user! + nice! + system! + irq! + softirq!;
  return { by, busy, all: busy + idle! + iowait! };
}

function partOf(command: string): Part {
  if (/libvirtd|virtlogd/.test(command)) return 'libvirt';
  return /executor\/(main|worker)\.ts|^dnsmasq /.test(command) ? 'executor' : 'controlPlane';
}
