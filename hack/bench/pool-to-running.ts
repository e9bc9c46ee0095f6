/**
 * P4 and P5: one VMPool of 1,000 machines on 200 imitated hosts (real etcd, Mesos' v1 API over HTTP, 100 ms boot), from apply to the last
 * machine Running, and the revisions of etcd that each machine costs over its whole life. Ideal: as many raw writes as were made, at the
 * rate of raw etcd in the same run, and one boot.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { launcher } from '#cli/local/programs.ts';
import { isTrue } from '#lib/api/conditions.ts';
import { Cluster, Image, Subnet, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { apiVersionOf } from '#lib/api/meta.ts';
import { systemClock } from '#lib/std/clock.ts';
import { startMaster } from '#mesos/local/master/master.ts';
import { type BenchServer, startBenchServer } from './server.ts';

const machines = 1_000;
const hosts = 200;
const bootMs = 100;
const namespace = 'default';

export async function poolToRunning(): Promise<readonly string[]> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startBenchServer());
  const etcd = stack.adopt(new Etcd3({ hosts: server.etcd }), (client) => client.close());
  await startWorld(server, stack);
  await until(
    '200 hosts',
    async () => ((await server.client.get(Cluster, { name: 'local' })).status?.hosts?.ready ?? 0) >= hosts,
  );
  const revision = async () => Number((await etcd.get('nothing').exec()).header.revision);

  const writes = await countWrites(etcd);
  const before = await revision();
  const started = systemClock.monotonic();
  await server.client.create(VMPool, {
    apiVersion: apiVersionOf(VMPool),
    kind: 'VMPool',
    metadata: { name: 'bench', namespace },
    spec: poolSpec(),
  });
  await until(
    'all machines to run',
    async () =>
      ((await server.client.get(VMPool, { name: 'bench', namespace })).status?.readyReplicas ?? 0) === machines,
  );
  const seconds = (systemClock.monotonic() - started) / 1000;
  const running = await server.client.list(VirtualMachine, { namespace });
  if (running.items.length !== machines || !running.items.every((vm) => isTrue(vm, 'Ready')))
    throw new Error('Not every machine is Ready');
  const toRunning = (await revision()) - before;

  await server.client.delete(VMPool, { name: 'bench', namespace });
  await until(
    'all machines to be gone',
    async () => (await server.client.list(VirtualMachine, { namespace })).items.length === 0,
  );
  const life = (await revision()) - before;

  const rawRate = await rawWritesPerSecond(etcd);
  const idealSeconds = toRunning / rawRate + bootMs / 1000;
  return [
    `P4 machines=${machines} hosts=${hosts} seconds=${seconds.toFixed(1)} ideal=${idealSeconds.toFixed(2)} ratio=${(seconds / idealSeconds).toFixed(1)} floor=40 goal=4 rawWritesPerSecond=${rawRate.toFixed(0)}`,
    `P5 byKind ${Object.entries(writes)
      .map(([kind, count]) => `${kind}=${(count / machines).toFixed(2)}`)
      .join(' ')}`,
    `P5 writesToRunning=${(toRunning / machines).toFixed(2)} writesPerLife=${(life / machines).toFixed(2)} floor=10 goal=5`,
  ];
}

/** Counts revisions by what was written, from now on: the sum over a machine's whole life. */
async function countWrites(etcd: Etcd3): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  const count = (key: Buffer) => {
    const kind = key.toString().split('/')[3] ?? 'other';
    counts[kind] = (counts[kind] ?? 0) + 1;
  };
  const watcher = await etcd.watch().prefix('/registry/').create();
  watcher.on('put', ({ key }) => count(key)).on('delete', ({ key }) => count(key));
  return counts;
}

function poolSpec() {
  return {
    replicas: machines,
    template: {
      spec: { resources: { cores: 4, memory: '4Gi' }, image: { name: 'tiny' }, networks: [{ subnet: 'bench' }] },
    },
  };
}

/** Master in this process; hosts, controllers and cluster server in processes of their own; image and subnet ready. */
async function startWorld(server: BenchServer, stack: AsyncDisposableStack): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'cf-fleet-'));
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'imports'));
  writeFileSync(join(dir, 'imports/tiny.img'), Buffer.alloc(2 ** 20));
  const master = stack.use(await startMaster({ port: 0, workDir: join(dir, 'master') }));
  const memoryMiB = 5 * (4096 + 64 + 82) + 64;
  const fleet = start(stack, process.execPath, [
    join(import.meta.dirname, 'fleet.ts'),
    master.url,
    dir,
    String(hosts),
    '20',
    String(memoryMiB),
    String(bootMs),
  ]);
  await once(fleet.stdout!, 'data');
  start(stack, launcher('factory-controllers'), ['--kubeconfig', server.kubeconfig]);
  const api = { apiVersion: apiVersionOf(Cluster) };
  await server.client.create(Cluster, {
    ...api,
    kind: 'Cluster',
    metadata: { name: 'local' },
    spec: { masters: [master.url] },
  });
  start(stack, launcher('factory-cluster-server'), ['--kubeconfig', server.kubeconfig, '--cluster', 'local']);
  await server.client.create(Subnet, {
    ...api,
    kind: 'Subnet',
    metadata: { name: 'bench', namespace },
    spec: { cidr: '10.0.0.0/16', releaseCooldown: '0s' },
  });
  await server.client.create(Image, {
    ...api,
    kind: 'Image',
    metadata: { name: 'tiny', namespace },
    spec: { source: { file: { path: 'tiny.img' } } },
  });
  await until('the image', async () => isTrue(await server.client.get(Image, { name: 'tiny', namespace }), 'Ready'));
}

function start(stack: AsyncDisposableStack, command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const last: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => last.splice(0, Math.max(0, last.push(text) - 10)));
  child.on('exit', (code) => code && process.stderr.write(last.join('')));
  stack.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  return child;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = systemClock.monotonic() + 300_000;
  while (!(await holds())) {
    if (systemClock.monotonic() > deadline) throw new Error(`Waited 300 s for ${what} in vain`);
    await systemClock.sleep(50);
  }
}

async function rawWritesPerSecond(etcd: Etcd3): Promise<number> {
  const count = 4_000;
  const value = 'x'.repeat(2_000);
  let next = 0;
  const started = systemClock.monotonic();
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      for (let index = next++; index < count; index = next++)
        await etcd
          .if(`/raw/${index}`, 'Create', '==', 0)
          .then(etcd.put(`/raw/${index}`).value(value))
          .commit();
    }),
  );
  return count / ((systemClock.monotonic() - started) / 1000);
}
