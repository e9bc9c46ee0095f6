/**
 * The images of a lab: a GlusterFS volume with a copy on each of the first three real hosts, and beside it another one for Volumes, which
 * executors mount themselves. This program makes both out of what is there, mounts the first for the executors, and stays until the mount ends (exit code 1, so that a keeper begins again). Its client lives in the
 * network namespace of the wire, where the hosts are. The hosts mount it for their guests themselves (pretend-host/init.sh).
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { jsonLog } from '#lib/std/log.ts';
import { runMain, UsageError } from '#lib/std/main.ts';
import { mountsAt, removeMounts } from '../pretend-host/mounts.ts';
import { storeVolume as volume } from '../pretend-host/pretend-host.ts';
import { fabricOf, storeServers, volumesVolume } from './programs.ts';
import { type LocalSettings, localPaths, readSettings } from './settings.ts';

const run = promisify(execFile);
const log = jsonLog('local-image-store');
const commandMs = 60_000;
const readyMs = 120_000;
const lookEveryMs = 500;

/** Whether the executors see the volume. A mount that lost its servers throws. */
export async function isStoreMounted(dir: string): Promise<boolean> {
  const { images } = localPaths(dir);
  await stat(images);
  return mountsAt(images).at(-1) === 'fuse.glusterfs';
}

/** What is written before the volume is mounted, or after it was lost, would be hidden by it: nothing can be. */
export async function guardStore(dir: string): Promise<void> {
  const { images } = localPaths(dir);
  if (mountsAt(images).length > 0) return;
  await run('mount', ['-t', 'tmpfs', '-o', 'ro,mode=755,size=4k', 'none', images], { timeout: commandMs });
}

/** Runs GlusterFS' command line inside of the first host. */
async function gluster(settings: LocalSettings, ...args: readonly string[]): Promise<string> {
  const [first] = storeServers(settings);
  const file = join(localPaths(settings.options.dir).host(first!.name), 'machine/pid');
  if (!existsSync(file)) throw new Error(`the host of ${first!.name} does not run yet`);
  const { pid } = JSON.parse(readFileSync(file, 'utf8')) as { readonly pid: number };
  const command = ['-t', String(pid), '--mount', '--net', '--pid', 'gluster', '--mode=script', ...args];
  const { stdout } = await run('nsenter', command, { timeout: commandMs, killSignal: 'SIGKILL' });
  return stdout;
}

/** Every step is repeated until it is as wanted: a host may boot, and this program be killed, at any moment. */
async function makePool(settings: LocalSettings): Promise<void> {
  const servers = storeServers(settings);
  for (const { address } of servers.slice(1)) await gluster(settings, 'peer', 'probe', address);
  const connected = (await gluster(settings, 'pool', 'list')).match(/\bConnected\b/g)?.length ?? 0;
  if (connected < servers.length) throw new Error(`${connected} of ${servers.length} hosts are in GlusterFS' pool`);
  await makeVolume(settings, volume, 'brick');
  await makeVolume(settings, volumesVolume, 'volumes-brick');
}

async function makeVolume(settings: LocalSettings, volume: string, brick: string): Promise<void> {
  const servers = storeServers(settings);
  if (!(await gluster(settings, 'volume', 'list')).split('\n').includes(volume)) {
    const bricks = servers.map(({ name, address }) => {
      return `${address}:${join(localPaths(settings.options.dir).host(name), 'machine', brick)}`;
    });
    // Bricks below a directory that is no file system of its own are refused without it.
    await gluster(settings, 'volume', 'create', volume, 'replica', String(bricks.length), ...bricks, 'force');
  }
  // A host that loses its power is given up after this, in place of 42 s.
  await gluster(settings, 'volume', 'set', volume, 'network.ping-timeout', '5');
  // Also starts what of it does not run.
  await gluster(settings, 'volume', 'start', volume, 'force');
}

async function untilMade(settings: LocalSettings, signal: AbortSignal): Promise<void> {
  const deadline = systemClock.monotonic() + readyMs;
  for (;;) {
    try {
      return await makePool(settings);
    } catch (error) {
      if (systemClock.monotonic() > deadline)
        throw new Error(`The image store could not be made within ${readyMs} ms`, { cause: error });
      log.info('The image store is not ready yet', { reason: messageOf(error) });
      await systemClock.sleep(lookEveryMs, signal);
    }
  }
}

function mount(settings: LocalSettings): ChildProcess {
  const { images } = localPaths(settings.options.dir);
  const servers = storeServers(settings).map(({ address }) => `--volfile-server=${address}`);
  const client = ['glusterfs', '-N', '--log-file=-', '--log-level=ERROR', ...servers, `--volfile-id=${volume}`, images];
  return spawn('nsenter', [`--net=/run/netns/${fabricOf(settings)}`, ...client], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

if (import.meta.main) {
  await runMain(log, async (stack, signal) => {
    const settings = process.argv[2] === undefined ? undefined : readSettings(process.argv[2]);
    if (!settings) throw new UsageError('Usage: image-store.ts DIR, of a local cluster');
    await untilMade(settings, signal);
    const { images } = localPaths(settings.options.dir);
    // Of a client that was killed: whatever is asked of it fails.
    await removeMounts(images, 'fuse.glusterfs');
    const client = mount(settings);
    const ended = once(client, 'exit', { signal });
    stack.defer(() => removeMounts(images, 'fuse.glusterfs'));
    stack.defer(() => void client.kill('SIGTERM'));
    const [code] = await ended;
    throw new Error(`The mount of the image store ended with code ${code}; the lines above say why`);
  });
}
