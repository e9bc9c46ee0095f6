/**
 * P4 and P5: one VMPool on imitated hosts (real etcd, Mesos' v1 API over HTTP, 1 s between allocations, 100 ms boot), in several sizes
 * with five machines per host: from apply to the last machine Running, and what is written for each machine over its whole life. Ideal: as
 * many raw writes as were made, at the rate of raw etcd in the same run, and one boot. BENCH_MACHINES=1000,2000 sets other sizes.
 */
import type { Etcd3 } from 'etcd3';
import { systemClock } from '#lib/std/clock.ts';
import { growthExponent } from './compare.ts';
import { apiCalls, type Counts, difference, isWrite, listed, sum } from './counters.ts';
import { bootMs, type Factory, type Part, startFactory } from './factory.ts';
import { type RawEtcd, rawEtcd, together } from './raw-etcd.ts';

const sizes = (process.env.BENCH_MACHINES ?? '100,1000,2000,5000,10000').split(',').map(Number);
const machinesPerHost = 5;
/** Smaller pools are ready before the second offer: they say nothing of growth. */
const smallestForGrowth = 1_000;

interface Life {
  readonly machines: number;
  readonly seconds: number;
  readonly cpu: Readonly<Record<Part, number>>;
  /** Per machine until it runs. */
  readonly writes: number;
  readonly rawWritesPerSecond: number;
  readonly lines: readonly string[];
}

export async function poolToRunning(): Promise<readonly string[]> {
  const lives: Life[] = [];
  for (const machines of sizes) lives.push(await live(machines));
  return [...lives.flatMap(({ lines }) => lines), ...growth(lives)];
}

function growth(lives: readonly Life[]): readonly string[] {
  const large = lives.filter(({ machines }) => machines >= smallestForGrowth);
  if (large.length < 2) return [];
  const exponent = (of: (life: Life) => number) =>
    growthExponent(
      large.map(({ machines }) => machines),
      large.map(of),
    ).toFixed(2);
  const cpu = exponent((life) => total(life.cpu));
  const at = large.map(({ machines }) => machines).join('/');
  return [`P4 exponent=${exponent(({ seconds }) => seconds)} floor=1.2 goal=1.04 cpuExponent=${cpu} machines=${at}`];
}

const ours = ['apiserver', 'controllers', 'cluster-server'] as const;
const total = (cpu: Readonly<Record<Part, number>>) => ours.reduce((seconds, part) => seconds + cpu[part], 0);

async function live(machines: number): Promise<Life> {
  console.log(`# P4 ${machines} machines …`);
  await using factory = await startFactory({ hosts: Math.ceil(machines / machinesPerHost), machinesPerHost });
  using etcd = rawEtcd(factory.server.etcd);
  using revisions = await countRevisions(etcd.client);
  const rawWritesPerSecond = await rawWrites(etcd);
  const before = { calls: await apiCalls(factory.server), cpu: factory.cpu() };
  revisions.counts.clear();
  const started = systemClock.monotonic();
  await factory.scale(machines);
  await factory.ready(machines);
  const seconds = (systemClock.monotonic() - started) / 1000;
  const cpu = since(before.cpu, factory);
  const toRunning = sum(revisions.counts);
  await factory.clear();
  const calls = difference(await apiCalls(factory.server), before.calls);
  const writes = toRunning / machines;
  const idealSeconds = toRunning / rawWritesPerSecond + bootMs / 1000;
  const timing = `machines=${machines} hosts=${Math.ceil(machines / machinesPerHost)} seconds=${seconds.toFixed(1)}`;
  const cpuText = Object.entries(cpu).map(([part, used]) => `${part}=${((used / machines) * 1000).toFixed(2)}`);
  const lines = [
    `P4 ${timing} ideal=${idealSeconds.toFixed(2)} ratio=${(seconds / idealSeconds).toFixed(1)} floor=40 goal=4 rawWritesPerSecond=${rawWritesPerSecond.toFixed(0)}`,
    `P4 machines=${machines} cpuMsPerMachine ${cpuText.join(' ')}`,
    ...writesOfLife(machines, calls, revisions.counts, writes),
  ];
  return { machines, seconds, cpu, writes, rawWritesPerSecond, lines };
}

function since(before: Readonly<Record<Part, number>>, factory: Factory): Record<Part, number> {
  const now = Object.entries(factory.cpu()) as [Part, number][];
  return Object.fromEntries(now.map(([part, seconds]) => [part, seconds - before[part]])) as Record<Part, number>;
}

function writesOfLife(machines: number, calls: Counts, revisions: Counts, toRunning: number): readonly string[] {
  const writeCalls = new Map([...calls].filter(([call]) => isWrite(call)));
  const per = (count: number) => (count / machines).toFixed(2);
  return [
    `P5 machines=${machines} callsPerLife=${per(sum(writeCalls))} revisionsPerLife=${per(sum(revisions))} floor=10 goal=5 revisionsToRunning=${toRunning.toFixed(2)}`,
    `P5 machines=${machines} calls ${listed(writeCalls, machines)}`,
    `P5 machines=${machines} revisions ${listed(revisions, machines)}`,
  ];
}

/** Counts writes by kind as etcd tells them, leader election left out. */
async function countRevisions(etcd: Etcd3): Promise<Disposable & { readonly counts: Map<string, number> }> {
  const counts = new Map<string, number>();
  const count = (key: Buffer) => {
    const kind = key.toString().split('/')[3] ?? 'other';
    if (kind !== 'leases') counts.set(kind, (counts.get(kind) ?? 0) + 1);
  };
  const watcher = await etcd.watch().prefix('/registry/').create();
  watcher.on('put', ({ key }) => count(key)).on('delete', ({ key }) => count(key));
  return { counts, [Symbol.dispose]: () => void watcher.cancel() };
}

async function rawWrites({ client }: RawEtcd): Promise<number> {
  const keys = Array.from({ length: 4_000 }, (_, index) => `/raw/${index}`);
  const value = 'x'.repeat(2_000);
  const started = systemClock.monotonic();
  await together(keys, (key) => client.if(key, 'Create', '==', 0).then(client.put(key).value(value)).commit());
  return keys.length / ((systemClock.monotonic() - started) / 1000);
}
