/** A cluster server with the local Mesos and real executor processes (imitation hypervisor), over an API in memory. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';
import { Cluster } from '#lib/api/generated/cluster.ts';
import { Image } from '#lib/api/generated/image.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { finalizers } from '#lib/api/names.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog, type Log, silentLog } from '#lib/std/log.ts';
import { signalProcess } from '#lib/std/process-identity.ts';
import { systemRandom } from '#lib/std/random.ts';
import { startAgent } from '#mesos/local/agent/agent.ts';
import { startMaster } from '#mesos/local/master/master.ts';
import { parseAttributes, parseResources } from '#mesos/local/resources.ts';
import { type ClusterServerOptions, runClusterServer } from '../server.ts';

const executor = join(import.meta.dirname, '../../../bin/factory-executor');
export const log = process.env.CF_TEST_LOG ? jsonLog('test') : silentLog;
const stacks: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const stack of stacks.splice(0)) await stack.disposeAsync();
});

export interface Lab {
  readonly client: MemoryApi;
  /** URL of the master. */
  readonly master: string;
  readonly imports: string;
  /** Everything that Mesos, executors and hosts write is in it. */
  readonly directory: string;
  /** Pids of the supervisors and workers of one host. */
  executorsOf(hostname: string): number[];
  /** The master is gone; agents, executors and the cluster server go on. */
  stopMaster(): Promise<void>;
  /** It comes back where it was, and remembers its registry only. */
  startMaster(): Promise<void>;
}

export interface LabOptions {
  /** Of several clusters over one API. */
  readonly client?: MemoryApi;
  /** Name of the Cluster; lab unless told. */
  readonly cluster?: string;
  /** Of the cluster server. */
  readonly log?: Log;
  /** Hosts keep copies of images, in `cache` beside their root. */
  readonly imageCache?: boolean;
  readonly images?: ImageOptions;
}

type ImageOptions = Pick<ClusterServerOptions, 'imageFiles' | 'prefetch'>;

/** Hosts with room for 8 cores each. Disposed of after the test. */
export async function lab(
  hostnames: readonly string[],
  { client = memoryClient(), cluster = 'lab', log: serverLog = log, imageCache = false, images = {} }: LabOptions = {},
): Promise<Lab> {
  const stack = new AsyncDisposableStack();
  stacks.push(stack);
  const directory = mkdtempSync(join(tmpdir(), 'cf-scheduler-'));
  const executorsOf = (hostname: string) => processesIn(join(directory, hostname));
  stack.defer(() => {
    for (const hostname of hostnames) for (const pid of executorsOf(hostname)) signalProcess(pid, 'SIGKILL');
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  const imports = join(directory, 'imports');
  const store = join(directory, 'images');
  for (const path of [imports, store]) mkdirSync(path);
  const workDir = join(directory, 'master');
  let master: Awaited<ReturnType<typeof startMaster>> | undefined = await startMaster({ port: 0, workDir });
  const { url } = master;
  const stopMaster = async () => {
    await master?.[Symbol.asyncDispose]();
    master = undefined;
  };
  stack.defer(stopMaster);
  for (const hostname of hostnames) {
    const root = join(directory, hostname);
    mkdirSync(join(root, 'root'), { recursive: true });
    const config = {
      hypervisor: 'sim',
      root: join(root, 'root'),
      imageStore: store,
      importDir: imports,
      allowPrivateSources: ['127.0.0.0/8'],
      sim: { bootMs: 50 },
      ...(imageCache && { imageCache: { directory: join(root, 'cache'), sizeGiB: 1 } }),
    };
    writeFileSync(join(root, 'executor.json'), JSON.stringify(config));
    const agent = await startAgent({
      ...{ port: 0, master: url, workDir: join(root, 'agent'), hostname },
      resources: parseResources('cpus:8.5;mem:16384;disk:100000'),
      attributes: parseAttributes(`hypervisor:sim;name:${hostname}`),
      executorEnvironment: { CF_EXECUTOR_CONFIG: join(root, 'executor.json') },
    });
    stack.use(agent);
  }
  await client.create(Cluster, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'Cluster', metadata: { name: cluster } },
    spec: {
      ...{ masters: [url], role: 'computefactory', failoverTimeout: '168h', unschedulable: false },
      executor: { command: executor, cores: '0.5', memory: '512Mi' },
    },
  });
  stack.use(serve(client, cluster, serverLog, images));
  return {
    ...{ client, imports, directory, executorsOf, master: url, stopMaster },
    async startMaster() {
      master = await startMaster({ port: Number(new URL(url).port), workDir });
    },
  };
}

/** As the Image controller would: a row to be imported. Resolves with the digest. */
export async function importImage({ client, imports }: Lab, more: Partial<Image['spec']> = {}): Promise<string> {
  writeFileSync(join(imports, 'disk.raw'), Buffer.alloc(1 << 20, 7));
  const image = await client.create(Image, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'Image', metadata: { name: 'debian', namespace: 'default' } },
    spec: {
      ...{ source: { file: { path: 'disk.raw' } }, format: 'raw', osType: 'Linux' },
      limits: { maxVirtualSize: '2Ti', timeout: '2h' },
      ...more,
    },
  });
  await client.updateStatus(Image, { ...image, status: { clusters: [{ name: 'lab', phase: 'Pending' }] } });
  const row = async () => (await client.get(Image, { name: 'debian', namespace: 'default' })).status?.clusters?.[0];
  await expect.poll(async () => (await row())?.phase, { timeout: 30_000 }).toBe('Ready');
  return (await row())!.digest!;
}

/** A machine that the virtualmachine controller has made ready to be placed, on the image of `importImage`. */
export async function want(
  client: MemoryApi,
  name: string,
  cores: number,
  digest: string,
  more: Partial<VirtualMachine['spec']> = {},
): Promise<void> {
  const vm = await client.create(VirtualMachine, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine' },
    metadata: { name, namespace: 'default', finalizers: [finalizers.vmCleanup] },
    spec: {
      ...{ runPolicy: 'Always', image: { name: 'debian' }, resources: { cores, memory: '1Gi' }, priority: 0 },
      ...{ terminationGracePeriod: '1s', deleteProtection: false, ...more },
    },
  });
  const resolved: NonNullable<VirtualMachine['status']> = {
    phase: 'Scheduling',
    instanceType: { cores, memory: '1Gi' },
    conditions: [],
    image: { name: 'debian', namespace: 'default', digest, format: 'raw', virtualSize: 1 << 20 },
  };
  await client.updateStatus(VirtualMachine, { ...vm, status: resolved });
}

function processesIn(directory: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && environmentOf(pid).includes(`MESOS_SANDBOX=${directory}/`));
}

/** Empty for a process that ended meanwhile or is not ours to look at. */
function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

function serve(client: MemoryApi, cluster: string, log: Log, images: ImageOptions): AsyncDisposable {
  const abort = new AbortController();
  const options = { client, clock: systemClock, random: systemRandom, log, cluster, ...images };
  const running = runClusterServer({ ...options, installation: 'installation-1' }, abort.signal);
  running.catch((error: unknown) => expect.fail(`The cluster server ended: ${String(error)}`));
  return {
    async [Symbol.asyncDispose]() {
      abort.abort();
      await running;
    },
  };
}
