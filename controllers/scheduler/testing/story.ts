/** A cluster server of which everything around it is imitated: API in memory, Mesos and hosts in fake-mesos.ts. */
import { afterEach, expect } from 'vitest';
import { Cluster } from '#lib/api/generated/cluster.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { finalizers, labels } from '#lib/api/names.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { OrphanOptions } from '../orphans.ts';
import { type ClusterServerOptions, runClusterServer } from '../server.ts';
import { FakeMesos } from './fake-mesos.ts';

/** Disposed of after each test, the last one first. */
export const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource[Symbol.asyncDispose]();
});

type Status = NonNullable<VirtualMachine['status']>;

export interface Story {
  readonly api: MemoryApi;
  readonly mesos: FakeMesos;
  machine(name: string): Promise<VirtualMachine>;
  /** Creates a machine that the virtualmachine controller has made ready to be placed, with this in its status beside. */
  want(name: string, cores: number, hostSelector?: Record<string, string>, status?: Status): Promise<VirtualMachine>;
  /** Starts the cluster server; dispose of it to stop it. */
  serve(orphans?: OrphanOptions, images?: ImageOptions): AsyncDisposable;
}

type ImageOptions = Pick<ClusterServerOptions, 'imageFiles' | 'prefetch'>;

export const api = 'computefactory.io/v1alpha1';

export async function story(): Promise<Story> {
  const client = memoryClient();
  const mesos = await FakeMesos.start();
  open.push(mesos);
  await client.create(Cluster, {
    ...{ apiVersion: api, kind: 'Cluster', metadata: { name: 'lab' } },
    spec: {
      ...{ masters: [mesos.origin], role: 'computefactory', failoverTimeout: '168h', unschedulable: false },
      executor: { command: '/bin/factory-executor', cores: '0.5', memory: '512Mi' },
    },
  });
  return {
    api: client,
    mesos,
    machine: (name) => client.get(VirtualMachine, { name, namespace: 'default' }),
    want: (name, cores, hostSelector, status) => want(client, name, cores, hostSelector, status),
    serve(orphans, images) {
      const server = serve(client, orphans, 'lab', images);
      open.push(server);
      return server;
    },
  };
}

async function want(
  client: MemoryApi,
  name: string,
  cores: number,
  hostSelector?: Record<string, string>,
  status?: Status,
) {
  const vm = await client.create(VirtualMachine, {
    ...{ apiVersion: api, kind: 'VirtualMachine' },
    metadata: { name, namespace: 'default', finalizers: [finalizers.vmCleanup], labels: { [labels.pool]: 'p' } },
    spec: {
      ...{ runPolicy: 'Always', image: { name: 'debian' }, resources: { cores, memory: '1Gi' }, priority: 0 },
      ...{ terminationGracePeriod: '60s', deleteProtection: false },
      ...(hostSelector ? { placement: { hostSelector: { matchLabels: hostSelector } } } : {}),
    },
  });
  const instanceType = { cores, memory: '1Gi' };
  return await client.updateStatus(VirtualMachine, {
    ...vm,
    status: { phase: 'Scheduling', instanceType, conditions: [], ...status },
  });
}

export function serve(
  client: MemoryApi,
  orphans?: OrphanOptions,
  cluster = 'lab',
  images: ImageOptions = {},
): AsyncDisposable {
  const abort = new AbortController();
  const common = { client, clock: systemClock, random: systemRandom, log: silentLog };
  const options = { ...common, ...(orphans ? { orphans } : {}), ...images };
  const running = runClusterServer({ ...options, cluster, installation: 'installation-1' }, abort.signal);
  running.catch((error: unknown) => expect.fail(`The cluster server ended: ${String(error)}`));
  return {
    async [Symbol.asyncDispose]() {
      abort.abort();
      await running;
    },
  };
}

export const patient = { timeout: 8000, interval: 20 };
export const until = (check: () => Promise<void> | void) =>
  expect
    .poll(async () => {
      await check();
      return 'so';
    }, patient)
    .toBe('so');

export async function running({ machine }: Story, name: string): Promise<VirtualMachine> {
  await expect.poll(async () => (await machine(name)).status?.phase, patient).toBe('Running');
  return await machine(name);
}
