/**
 * A pretended hypervisor host: libvirtd with namespaces of its own on this computer. Killing its process 1 takes everything away at
 * once, like a power cut: libvirtd, every QEMU, all its mounts. Needs root. Nothing of it is outside `dir` but /run/netns/<name>
 * and its port on the wire (fabric.ts).
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import { identifyProcess, isRunning, type ProcessIdentity } from '#lib/std/process-identity.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { controllersHere, makeCgroups, removeCgroups } from './cgroups.ts';
import { hostPaths, writeConfiguration } from './configuration.ts';
import { plugIn, type Wire, wireAddress } from './fabric.ts';
import { shareMounts } from './mounts.ts';
import { makeNamespace, removeNamespace } from './namespace.ts';

/** libvirtd asks QEMU what it can do before it answers for the first time. */
const readyMs = 120_000;
const pollMs = 50;

export interface PretendHostOptions {
  /** Name of the network namespace: unique on this computer, at most 64 of a-z, 0-9 and dash. */
  readonly name: string;
  readonly dir: string;
  /** Gives the host control groups of its own, where the computer has any that it can have (cgroups.ts). */
  readonly cgroups?: boolean;
  /** Joins the host to others; alone without it. */
  readonly wire?: Wire | undefined;
  /** Mounts a volume of GlusterFS for guests' images. */
  readonly store?: Store | undefined;
  /** Directory of the executor's, below which it mounts what guests see: so the host must. The mount of it goes by `removeMounts`. */
  readonly mounts?: string | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Name of the volume. */
export const storeVolume = 'images';

export interface Store {
  /** A directory, the same as for the executor. */
  readonly place: string;
  /** Addresses on the wire. */
  readonly servers: readonly string[];
}

export interface PretendHost {
  readonly socket: string;
  readonly netns: string;
  /** Holds a new id after each start. */
  readonly bootIdFile: string;
  /** Process 1 of the host. */
  readonly pid: number;
}

/** Starts the host, or finds it running; resolves when its libvirtd takes connections. */
export async function startPretendHost(options: PretendHostOptions): Promise<PretendHost> {
  const { name, dir, clock = systemClock, random = systemRandom } = options;
  requireName(name);
  const paths = hostPaths(dir);
  const describe = (init: ProcessIdentity): PretendHost => ({
    socket: paths.socket,
    netns: name,
    bootIdFile: paths.bootIdFile,
    pid: init.pid,
  });
  const running = readIdentity(paths.pidFile);
  if (running && isRunning(running)) {
    await untilReady(paths.socket, running, paths.log, clock);
    return describe(running);
  }
  await removeNamespace(name, clock);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  writeConfiguration(dir, random);
  writeFileAtomic(paths.bootIdFile, `${random.uuid()}\n`);
  // What a power cut left there is the last boot's; the socket of a dead libvirtd would be taken for the new one's.
  rmSync(paths.socket, { force: true });
  await makeNamespace(name);
  if (options.wire) await plugIn(name, options.wire);
  if (options.mounts !== undefined) await shareMounts(options.mounts);
  const init = await boot(options, paths.log, clock, options.cgroups ? makeCgroups(name) : []);
  writeFileAtomic(paths.pidFile, JSON.stringify(init));
  await untilReady(paths.socket, init, paths.log, clock);
  return describe(init);
}

/** Cuts the power and removes the namespace. Files under `dir` stay for the next start. Nothing if it does not run. */
export async function stopPretendHost({ name, dir, clock = systemClock }: PretendHostOptions): Promise<void> {
  requireName(name);
  await removeNamespace(name, clock);
  await removeCgroups(name, clock);
  rmSync(hostPaths(dir).pidFile, { force: true });
}

/** Whether the host that `startPretendHost` gave still runs. */
export function isPretendHostRunning(dir: string): boolean {
  const init = readIdentity(hostPaths(dir).pidFile);
  return init !== undefined && isRunning(init);
}

function requireName(name: string): void {
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(name)) {
    throw new TypeError(`Cannot name a pretended host ${JSON.stringify(name)}: use at most 64 of a-z, 0-9 and dash`);
  }
}

function readIdentity(file: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined; // never started, or stopped
  }
}

/** `groups` are directories of control groups that become all that the host sees of them. */
async function boot(
  { name, dir, store, wire, mounts }: PretendHostOptions,
  log: string,
  clock: Clock,
  groups: readonly string[],
): Promise<ProcessIdentity> {
  const output = openSync(log, 'a');
  const command = [
    ...['nsenter', `--net=/run/netns/${name}`, 'unshare', '--mount', '--uts', '--ipc', '--pid', '--cgroup'],
    // Whoever kills the parent means the host.
    // init.sh cuts off all others.
    ...[
      '--propagation',
      mounts === undefined ? 'private' : 'slave',
      '--fork',
      '--kill-child=KILL',
      '/bin/sh',
      join(import.meta.dirname, 'init.sh'),
    ],
    ...[name, dir, ...(groups.length > 0 ? controllersHere() : [])],
  ];
  const enterGroups =
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1/cgroup.procs"; shift; n=$((n - 1)); done; exec "$@"';
  const parent = spawn('sh', ['-ec', enterGroups, 'sh', String(groups.length), ...groups, ...command], {
    detached: true,
    stdio: ['ignore', output, output],
    cwd: '/',
    env: { ...process.env, ...storeEnvironment(store, wire), CF_MOUNTS: mounts ?? '' },
  });
  closeSync(output);
  const failed = new Promise<never>((_, reject) => {
    parent.once('error', (error) => reject(new Error('Cannot run nsenter (package util-linux)', { cause: error })));
    parent.once('exit', (code) => reject(new Error(`The pretended host ${name} ended with code ${code}; see ${log}`)));
  });
  // Ends one day, when somebody stops the host: not a failure of anything that waits then.
  failed.catch(() => undefined);
  parent.unref();
  const deadline = AbortSignal.timeout(readyMs);
  for (;;) {
    const child = parent.pid === undefined ? undefined : childOf(parent.pid);
    if (child) return child;
    await Promise.race([clock.sleep(pollMs, deadline), failed]);
  }
}

/** What init.sh reads. Always set: the caller's own environment must not say it. */
function storeEnvironment(store: Store | undefined, wire: Wire | undefined): NodeJS.ProcessEnv {
  const { place, servers } = store ?? { place: '', servers: [] };
  const serves = wire !== undefined && servers.includes(wireAddress(wire.number));
  return {
    ...{ CF_STORE: place, CF_STORE_VOLUME: storeVolume, CF_STORE_SERVERS: servers.join(' ') },
    CF_STORE_SERVES: serves ? 'yes' : 'no',
  };
}

function childOf(parent: number): ProcessIdentity | undefined {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const identity = identifyProcess(Number(entry));
    if (identity && parentOf(entry) === parent) return identity;
  }
  return undefined;
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined; // gone meanwhile
  }
}

async function untilReady(socket: string, init: ProcessIdentity, log: string, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + readyMs;
  while (!(await answers(socket))) {
    if (!isRunning(init)) throw new Error(`The pretended host ended before its libvirtd was ready; see ${log}`);
    if (clock.monotonic() > deadline)
      throw new Error(`libvirtd of the pretended host is not ready after ${readyMs} ms; see ${log}`);
    await clock.sleep(pollMs);
  }
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.once('connect', () => resolve(true)).once('error', () => resolve(false));
    connection.once('connect', () => connection.destroy());
  });
}
