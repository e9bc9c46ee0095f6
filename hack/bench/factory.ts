/**
 * A whole installation for one figure: etcd on disk, API server, controllers, cluster server and local Mesos as processes of their own,
 * each with its own rights, and imitated hosts. Machines are of one kind, with an image and an address each, and come in one pool.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launcher } from '#cli/local/programs.ts';
import { isTrue } from '#lib/api/conditions.ts';
import { Cluster, Host, Image, Subnet, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { apiVersionOf } from '#lib/api/meta.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { cpuSeconds, type Program, startProgram, until } from './programs.ts';
import { rawEtcd } from './raw-etcd.ts';
import { type BenchServer, startBenchServer } from './server.ts';

export const bootMs = 100;
const namespace = 'default';
const pool = { name: 'bench', namespace };
const cores = 4;
const memoryMiB = 4096;
/** What a machine takes besides its memory (controllers/scheduler/overhead.ts), and what is left over on a host. */
const overheadMiB = 64 + 82;
const spareMiB = 64;
/** One process cannot open files for more. */
const hostsPerProcess = 500;

export interface FactoryOptions {
  readonly hosts: number;
  /** Room of each host. */
  readonly machinesPerHost: number;
}

export type Part = 'apiserver' | 'controllers' | 'cluster-server' | 'etcd' | 'mesos';

export interface Factory extends AsyncDisposable {
  readonly server: BenchServer;
  readonly master: string;
  readonly controllers: Program;
  readonly clusterServer: Program;
  /** Makes the pool, or gives it another size. */
  scale(machines: number): Promise<void>;
  /** Resolves when so many machines are ready, by the pool's own count, and as many are listed as Ready. */
  ready(machines: number): Promise<void>;
  /** Deletes the pool; resolves when no machine is left. */
  clear(): Promise<void>;
  /** Resolves when the controllers have looked at every object that they know of. */
  controllersIdle(): Promise<void>;
  /** Seconds of the processor that each part has had so far. */
  cpu(): Readonly<Record<Part, number>>;
}

/** Resolves when all hosts and the image are ready. */
export async function startFactory({ hosts, machinesPerHost }: FactoryOptions): Promise<Factory> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startBenchServer());
  // In memory if that can be: a thousand hosts have a thousand disks.
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'cf-fleet-'));
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'imports'));
  writeFileSync(join(dir, 'imports/tiny.img'), Buffer.alloc(2 ** 20));
  const port = await freePort();
  const master = `http://127.0.0.1:${port}`;
  const masterFlags = ['--listen', `127.0.0.1:${port}`, '--work-dir', join(dir, 'master'), '--log-level', 'warn'];
  const mesos = stack.use(startProgram(launcher('mesos-local-master'), masterFlags));
  await until('the master', async () => (await fetch(`${master}/health`).catch(() => undefined))?.ok === true);
  await startHosts(stack, { master, dir, hosts, machinesPerHost });
  const flagsOf = (name: 'controllers' | 'cluster-server') => [
    '--kubeconfig',
    server.kubeconfigOf(name),
    '--identity',
    'bench',
  ];
  const health = `127.0.0.1:${await freePort()}`;
  const controllerFlags = [...flagsOf('controllers'), '--listen', health];
  const controllers = stack.use(startProgram(launcher('factory-controllers'), controllerFlags));
  await createBasics(server, master);
  const clusterFlags = [...flagsOf('cluster-server'), '--cluster', 'local'];
  const clusterServer = stack.use(startProgram(launcher('factory-cluster-server'), clusterFlags));
  await until('the hosts', async () => readyHosts(await server.client.get(Cluster, { name: 'local' })) >= hosts);
  await until('the objects of the hosts', () => areWritten(server, hosts));
  await until('the image', async () => isTrue(await server.client.get(Image, { name: 'tiny', namespace }), 'Ready'));
  const pids = () => ({
    apiserver: server.pid(),
    controllers: controllers.pid,
    'cluster-server': clusterServer.pid,
    etcd: server.etcdPid(),
    mesos: mesos.pid,
  });
  const running = stack.move();
  return {
    server,
    master,
    controllers,
    clusterServer,
    scale: (machines) => scale(server, machines),
    ready: (machines) => ready(server, machines),
    clear: () => clear(server),
    controllersIdle: () => until('the controllers', () => nothingQueued(health)),
    cpu: () => mapped(pids(), cpuSeconds),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const readyHosts = ({ status }: Cluster) => status?.hosts?.ready ?? 0;

/** Each once: what comes later is news of the figure that is measured. */
async function areWritten({ client }: BenchServer, count: number): Promise<boolean> {
  const { items } = await client.list(Host);
  return items.filter((host) => isTrue(host, 'Ready')).length >= count;
}

function mapped<K extends string, A, B>(record: Readonly<Record<K, A>>, map: (value: A) => B): Record<K, B> {
  return Object.fromEntries(Object.entries<A>(record).map(([key, value]) => [key, map(value)])) as Record<K, B>;
}

async function startHosts(
  stack: AsyncDisposableStack,
  { master, dir, hosts, machinesPerHost }: FactoryOptions & { readonly master: string; readonly dir: string },
): Promise<void> {
  const size = [cores * machinesPerHost, machinesPerHost * (memoryMiB + overheadMiB) + spareMiB, bootMs].map(String);
  for (let first = 0; first < hosts; first += hostsPerProcess) {
    const count = Math.min(hostsPerProcess, hosts - first);
    const args = [join(import.meta.dirname, 'fleet.ts'), master, dir, String(first), String(count), ...size];
    await stack.use(startProgram(process.execPath, args)).said;
  }
}

async function createBasics({ client }: BenchServer, master: string): Promise<void> {
  const apiVersion = apiVersionOf(Cluster);
  const spec = { masters: [master] };
  await client.create(Cluster, { apiVersion, kind: 'Cluster', metadata: { name: 'local' }, spec });
  const subnet = { cidr: '10.0.0.0/16', releaseCooldown: '0s' };
  await client.create(Subnet, { apiVersion, kind: 'Subnet', metadata: { name: 'bench', namespace }, spec: subnet });
  const image = { source: { file: { path: 'tiny.img' } } };
  await client.create(Image, { apiVersion, kind: 'Image', metadata: { name: 'tiny', namespace }, spec: image });
}

async function scale({ client }: BenchServer, replicas: number): Promise<void> {
  const { items } = await client.list(VMPool, { namespace });
  if (items.length > 0) return void (await client.patch(VMPool, pool, { spec: { replicas } }));
  const resources = { cores, memory: `${memoryMiB}Mi` };
  const template = { spec: { resources, image: { name: 'tiny' }, networks: [{ subnet: 'bench' }] } };
  const spec = { replicas, template };
  await client.create(VMPool, { apiVersion: apiVersionOf(VMPool), kind: 'VMPool', metadata: pool, spec });
}

async function ready({ client }: BenchServer, machines: number): Promise<void> {
  await until('all machines to run', async () => {
    const { status } = await client.get(VMPool, pool);
    return status?.readyReplicas === machines;
  });
  const { items } = await client.list(VirtualMachine, { namespace });
  const wrong = items.filter((vm) => !isTrue(vm, 'Ready'));
  const addresses = new Set(items.map(({ status }) => status?.ip));
  if (items.length !== machines || wrong.length > 0 || addresses.size !== machines)
    throw new Error(`Of ${items.length} machines ${wrong.length} are not Ready; they have ${addresses.size} addresses`);
}

async function clear({ client, etcd }: BenchServer): Promise<void> {
  await client.delete(VMPool, pool);
  using raw = rawEtcd(etcd);
  // Only counted: to list thousands of machines again and again would be most of what the API server does.
  const left = raw.client.getAll().prefix(`/registry/${VirtualMachine.group}/${VirtualMachine.plural}/${namespace}/`);
  const none = async () => (await left.count()) === 0;
  await until('all machines to be gone', none);
}

async function nothingQueued(health: string): Promise<boolean> {
  const text = await (await fetch(`http://${health}/metrics`)).text();
  return [...text.matchAll(/^computefactory_queue_(?:ready|processing)\{.*\} (\d+)$/gm)].every(
    ([, keys]) => keys === '0',
  );
}
