/** Starts a local cluster in the background, or what is missing of one. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { conditionOf, isTrue } from '#lib/api/conditions.ts';
import { Namespace } from '#lib/api/core.ts';
import { Cluster, type Host, Host as HostKind } from '#lib/api/generated/index.ts';
import { formatMiB } from '#lib/api/quantity.ts';
import type { Client } from '#lib/client/client.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import { UsageError } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { Output } from '../output.ts';
import { makeCredentials } from './credentials.ts';
import { guardStore, isStoreMounted } from './image-store.ts';
import { recordedProcess, runningProcess, startDetached } from './keeper.ts';
import { whyNoGluster, whyNoLibvirt } from './libvirt-here.ts';
import { executorShare, launcher, masterUrl, type Program, programsOf, writePrograms } from './programs.ts';
import {
  decideSettings,
  type LocalOptions,
  type LocalSettings,
  localPaths,
  readSettings,
  requireSameOptions,
  writeSettings,
} from './settings.ts';

/** First start of libvirtd probes every QEMU binary (8 s seen); a busy laptop needs several times that. */
const readyMs = 120_000;
const lookEveryMs = 200;

/** `asked` holds only what the user gave; `defaults` the rest. Returns the exit code. */
export async function localUp(
  asked: Partial<LocalOptions>,
  defaults: LocalOptions,
  wait: boolean,
  out: Output,
): Promise<number> {
  const dir = asked.dir ?? defaults.dir;
  const settings = await settle(dir, asked, defaults);
  if (settings.imitated) out.line(settings.imitated);
  if (settings.singleStore) out.line(settings.singleStore);
  await makeCredentials(settings, systemRandom);
  makeBootIds(settings);
  writePrograms(settings);
  if (settings.imageStore === 'gluster') await guardStore(dir);
  startKeeper(settings, out);
  await using client = connectFromFile(localPaths(dir).kubeconfig);
  try {
    await waitUntil('the API server', 'apiserver', settings, out, () => client.get(Namespace, { name: 'cf-system' }));
    await registerCluster(client, settings);
    await waitUntil('the cluster server', 'cluster-server', settings, out, () => clusterIsReady(client));
    if (wait && settings.imageStore === 'gluster')
      await waitUntil('the image store', 'image-store', settings, out, () => isStoreMounted(dir));
    if (wait) await waitUntil('the hosts', undefined, settings, out, () => hostsAreKnown(client, settings));
  } catch (error) {
    if (!(error instanceof NotReady)) throw error;
    out.error(error.message);
    return 1;
  }
  out.line(
    `Local cluster is up: ${settings.hosts.length} hosts, API server https://127.0.0.1:${settings.options.port}`,
  );
  out.line(`export KUBECONFIG=${localPaths(dir).kubeconfig}`);
  return 0;
}

async function settle(dir: string, asked: Partial<LocalOptions>, defaults: LocalOptions): Promise<LocalSettings> {
  const kept = readSettings(dir);
  if (kept) {
    requireSameOptions(kept, asked);
    return kept;
  }
  if (existsSync(dir) && readdirSync(dir).length > 0) {
    throw new UsageError(
      `Cannot use ${dir} for a local cluster: it holds other files, and "local down" would remove them. Give an empty or a new --dir.`,
    );
  }
  const options = { ...defaults, ...asked };
  await requireFreePort(options.port);
  const settings = await decideSettings(options, whyNoLibvirt(resolve(dir)), whyNoGluster());
  mkdirSync(dir, { recursive: true });
  writeSettings(settings);
  return settings;
}

async function requireFreePort(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((done, failed) => {
    server.once('error', failed).listen(port, '127.0.0.1', done);
  }).catch((error: NodeJS.ErrnoException) => {
    const owner = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message;
    throw new UsageError(
      `Cannot serve the API on port ${port}: ${owner}. Give another --port, or stop the other local cluster with "factoryctl local down --dir …".`,
    );
  });
  await new Promise((done) => server.close(done));
}

/** An imitated host boots when it is made; a real one writes its own boot id at every start. */
export function makeBootIds(settings: LocalSettings): void {
  for (const host of settings.hosts.filter(({ hypervisor }) => hypervisor === 'sim')) {
    const file = join(localPaths(settings.options.dir).host(host.name), 'boot-id');
    if (!existsSync(file)) writeFileAtomic(file, `${systemRandom.uuid()}\n`);
  }
}

function startKeeper(settings: LocalSettings, out: Output): void {
  const { dir } = settings.options;
  if (runningProcess(dir, 'keeper')) return;
  const again = recordedProcess(dir, 'keeper') !== undefined;
  out.progress(again ? 'Starting what does not run' : 'Starting the programs');
  const script = join(import.meta.dirname, 'keeper.ts');
  const keeper: Program = {
    name: 'keeper',
    command: [process.execPath, script, dir],
    environment: programsOf(settings)[0]!.environment,
    log: join(localPaths(dir).logs, 'keeper.log'),
  };
  startDetached(dir, keeper);
}

class NotReady extends Error {}

/** Looks until `ready` neither throws nor gives false. On the deadline says what was waited for and what its log ends with. */
async function waitUntil(
  what: string,
  program: string | undefined,
  settings: LocalSettings,
  out: Output,
  ready: () => Promise<unknown>,
): Promise<void> {
  out.progress(`Waiting for ${what}`);
  const deadline = systemClock.monotonic() + readyMs;
  let last: unknown = 'it said nothing';
  while (systemClock.monotonic() < deadline) {
    try {
      if ((await ready()) !== false) return;
      last = 'it is not ready';
    } catch (error) {
      last = error;
    }
    await systemClock.sleep(lookEveryMs);
  }
  const { dir } = settings.options;
  const log = program && join(localPaths(dir).logs, `${program}.log`);
  const tail =
    log && existsSync(log)
      ? `\nThe last lines of ${log}:\n${readFileSync(log, 'utf8').trimEnd().split('\n').slice(-8).join('\n')}`
      : '';
  throw new NotReady(
    `Waited ${readyMs / 1000} s for ${what} in vain: ${messageOf(last)}.${tail}\nLook at "factoryctl local status", or start over with "factoryctl local down" and "factoryctl local up".`,
  );
}

async function registerCluster(client: Client, settings: LocalSettings): Promise<void> {
  const master = masterUrl(settings);
  const spec = {
    ...(master.startsWith('zk://') ? { zookeeper: master } : { masters: [master] }),
    executor: {
      command: launcher('factory-executor'),
      cores: String(executorShare.cores),
      memory: formatMiB(executorShare.memoryMiB),
    },
  };
  const { apiVersion, kind } = { apiVersion: `${Cluster.group}/${Cluster.version}`, kind: Cluster.kind };
  try {
    await client.create(Cluster, { apiVersion, kind, metadata: { name: 'local' }, spec });
  } catch (error) {
    if (!isCode(error, 'AlreadyExists')) throw error;
  }
}

async function clusterIsReady(client: Client): Promise<boolean> {
  const cluster = await client.get(Cluster, { name: 'local' });
  const ready = conditionOf(cluster, 'Ready');
  if (ready?.status === 'True') return true;
  throw new Error(ready ? `${ready.reason}: ${ready.message}` : 'the cluster server has not written a status yet');
}

async function hostsAreKnown(client: Client, settings: LocalSettings): Promise<boolean> {
  const hosts: readonly Host[] = (await client.list(HostKind)).items;
  const ready = hosts.filter((host) => isTrue(host, 'Ready')).length;
  if (ready >= settings.hosts.length) return true;
  throw new Error(`${ready} of ${settings.hosts.length} hosts are ready`);
}
