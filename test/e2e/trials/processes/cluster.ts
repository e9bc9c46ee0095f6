/**
 * A cluster of real processes, made to be hurt: etcd, an API server, controllers, two cluster servers, ZooKeeper, three masters, agents with
 * their executors and imitated hosts. Its waits are short, so that a trial does not spend its time waiting.
 */
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCredentials } from '#cli/local/credentials.ts';
import { executorShare, launcher, marker, type Program, programsOf, writePrograms } from '#cli/local/programs.ts';
import { decideSettings, type LocalSettings, localPaths, writeSettings } from '#cli/local/settings.ts';
import { makeBootIds } from '#cli/local/up.ts';
import { Namespace } from '#lib/api/core.ts';
import { Cluster } from '#lib/api/generated/index.ts';
import { formatMiB } from '#lib/api/quantity.ts';
import type { Client } from '#lib/client/client.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { systemClock } from '#lib/std/clock.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { processesMarked } from '#lib/std/process-identity.ts';
import { systemRandom } from '#lib/std/random.ts';
import { zooKeeperCommand } from '#mesos/zookeeper/testing/server.ts';
import { startEtcd } from '../../../etcd.ts';
import { must, placeTinyImage, root, run } from '../../local-cluster.ts';
import { Keeper } from '../faults/keeper.ts';

export const servers = ['cluster-server-a', 'cluster-server-b'] as const;
export const agentOf = (host: string): string => `agent-${host}`;
const hostCount = 4;
export const hostCores = 8;

/** What is waited for before somebody is given up, where Mesos and Kubernetes have a minute or more. */
export const leaseMs = 4_000;
const leaseFlags = { 'lease-duration': '4s', 'renew-deadline': '3s', 'retry-period': '500ms' };
const masterCount = 3;
const masterFlags = {
  'zk-session-timeout': '4',
  'agent-ping-timeout': '2',
  'max-agent-ping-timeouts': '3',
  'agent-reregister-timeout': '20',
};
const agentFlags = { 'executor-registration-timeout': '30', 'executor-reregistration-timeout': '5' };

export interface Master {
  readonly name: string;
  readonly url: string;
}

export interface ProcessCluster extends AsyncDisposable {
  readonly dir: string;
  readonly client: Client;
  readonly keeper: Keeper;
  readonly hosts: readonly string[];
  readonly masters: readonly Master[];
  /** Where masters are found. */
  readonly zk: string;
  /** Copies logs, journals and sandboxes as they are now. */
  copyTo(folder: string): void;
}

export async function startProcessCluster(): Promise<ProcessCluster> {
  await using stack = new AsyncDisposableStack();
  const etcd = stack.use(await startEtcd());
  const parent = mkdtempSync(join(tmpdir(), 'cf-trial-'));
  stack.defer(() => rmSync(parent, { recursive: true, force: true }));
  const settings = await prepare(join(parent, 'local'), `etcd://${etcd.endpoint}`);
  const { dir } = settings.options;
  stack.defer(() => down(dir));
  const { masters, zk, programs } = await plan(settings);
  const keeper = stack.use(new Keeper(dir, programs));
  const client = stack.use(connectFromFile(localPaths(dir).kubeconfig));
  await untilServed(client);
  await register(client, zk);
  const running = stack.move();
  return {
    ...{ dir, client, keeper, masters, zk },
    hosts: settings.hosts.map(({ name }) => name),
    copyTo: (folder) => cpSync(dir, folder, { recursive: true, filter: (file) => !lstatSync(file).isSocket() }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function prepare(dir: string, store: string): Promise<LocalSettings> {
  const sizes = { hosts: hostCount, hostCpus: hostCores, hostMem: '16Gi' };
  const settings = await decideSettings(
    { dir, port: await freePort(), store, mesos: 'local', hypervisor: 'sim', ...sizes },
    undefined,
    undefined,
  );
  mkdirSync(dir, { recursive: true });
  writeSettings(settings);
  await makeCredentials(settings, systemRandom);
  makeBootIds(settings);
  writePrograms(settings);
  placeTinyImage(dir);
  return settings;
}

/** The programs of a local cluster, some of them more than once, and ZooKeeper between them. */
async function plan(settings: LocalSettings) {
  const port = await freePort();
  const zk = `zk://127.0.0.1:${port}/mesos`;
  const masters: Master[] = [];
  for (let i = 0; i < masterCount; i++)
    masters.push({ name: `mesos-master-${i}`, url: `http://127.0.0.1:${await freePort()}` });
  const lease = Object.fromEntries(Object.entries(leaseFlags).map(([name, value]) => [`leader-elect-${name}`, value]));
  const programs = programsOf(settings).flatMap((program) => {
    if (program.name.startsWith('agent-')) return [withFlags(program, { ...agentFlags, master: zk })];
    if (program.name === 'mesos-master')
      return masters.map(({ name, url }) =>
        named(settings, name, withFlags(program, { ...masterFlags, zk, listen: new URL(url).host })),
      );
    if (program.name === 'cluster-server')
      return servers.map((name) => named(settings, name, withFlags(program, { ...lease, identity: name })));
    return [program];
  });
  return { masters, zk, programs: [zooKeeper(settings, port), ...programs] };
}

function named({ options }: LocalSettings, name: string, program: Program): Program {
  return { ...program, name, log: join(localPaths(options.dir).logs, `${name}.log`) };
}

function zooKeeper(settings: LocalSettings, port: number): Program {
  const { dir } = settings.options;
  const folder = join(dir, 'zookeeper');
  mkdirSync(folder);
  const command = zooKeeperCommand(folder, port);
  return named(settings, 'zookeeper', { name: '', command, environment: { [marker]: dir }, log: '' });
}

/** With these instead of what it has of them. */
function withFlags(program: Program, flags: Readonly<Record<string, string>>): Program {
  const command = [...program.command];
  for (const [name, value] of Object.entries(flags)) {
    const at = command.indexOf(`--${name}`);
    if (at === -1) command.push(`--${name}`, value);
    else command[at + 1] = value;
  }
  return { ...program, command };
}

async function untilServed(client: Client): Promise<void> {
  const deadline = systemClock.monotonic() + 60_000;
  for (;;) {
    try {
      await client.get(Namespace, { name: 'cf-system' });
      return;
    } catch (error) {
      if (systemClock.monotonic() > deadline) throw error;
    }
    await systemClock.sleep(100);
  }
}

async function register(client: Client, zookeeper: string): Promise<void> {
  await client.create(Cluster, {
    ...{ apiVersion: `${Cluster.group}/${Cluster.version}`, kind: Cluster.kind, metadata: { name: 'local' } },
    spec: {
      zookeeper,
      executor: {
        command: launcher('factory-executor'),
        cores: String(executorShare.cores),
        memory: formatMiB(executorShare.memoryMiB),
      },
    },
  });
}

async function down(dir: string): Promise<void> {
  await must(run(join(root, 'bin/factoryctl'), ['local', 'down', '--dir', dir]));
  const left = processesMarked(marker, dir);
  if (left.length > 0) throw new Error(`Still running: ${left.map(({ pid }) => pid).join(', ')}`);
  if (existsSync(dir)) throw new Error(`Still there: ${dir}`);
}
