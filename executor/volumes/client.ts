/**
 * The Gluster client of a mount: a process that answers the kernel for it. It outlives whoever starts it, because guests have files open
 * through it: it is in a session of its own, outside the control groups of the Mesos container that the executor lives in, and is found
 * again by its environment. Mount and process are looked at separately: a mount whose client is gone says the same as one whose bricks are.
 */
import { accessSync, constants, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { type ProcessIdentity, processesMarked, signalProcess } from '#lib/std/process-identity.ts';
import { runCommand } from '../libvirt/command.ts';
import { startAbandonable } from './abandon.ts';
import { VolumeError } from './errors.ts';
import { type GlusterVolume, onHost } from './layout.ts';
import { type MountEntry, mountAt, parseMountinfo } from './mountinfo.ts';

export interface MountPlace {
  readonly root: string;
  readonly gluster: GlusterVolume;
  readonly netns: string | undefined;
}

const marker = 'CF_VOLUME_MOUNT';
const mountMs = 20_000;
const unmountMs = 5_000;
const endMs = 2_000;
const pollMs = 20;
const fuse = 'fuse.glusterfs';

/** Leaves the groups named before the dash, says which it could not, and becomes the rest. */
export const leaveGroups =
  'while [ "$1" != - ]; do { echo 0 >"$1"; } 2>/dev/null || echo "$1"; shift; done; shift; exec "$@"';

export interface MountSeen {
  readonly entry?: MountEntry;
  readonly clients: readonly ProcessIdentity[];
}

/** Asks the kernel only. */
export function lookAtMount({ root, gluster }: MountPlace): MountSeen {
  const point = onHost.point(root, gluster.name);
  const entry = mountAt(point);
  return { ...(entry ? { entry } : {}), clients: processesMarked(marker, point) };
}

/**
 * Mounts; returns the control groups that the client could not leave, with which it ends. Call only where nothing is mounted. Throws
 * VolumeError: then no client is left behind.
 */
export async function mountVolume(place: MountPlace): Promise<readonly string[]> {
  const { root, gluster, netns } = place;
  const point = onHost.point(root, gluster.name);
  // One that was killed while it started may yet mount.
  await endClients(place);
  mkdirSync(point, { recursive: true, mode: 0o755 });
  if (readdirSync(point).length > 0)
    throw new VolumeError(
      'MountPointNotEmpty',
      `Cannot mount ${gluster.name}: somebody has written into ${point} while nothing was mounted there. Look at the files and move them away`,
    );
  const enter = netns === undefined ? [] : ['nsenter', `--net=/run/netns/${netns}`];
  const command = [
    ...enter,
    ...['env', `${marker}=${point}`, 'glusterfs', '--process-name', 'fuse', '--log-level=WARNING'],
    // Guests are root in what they share: on the host that must not make programs of root's, or devices.
    '--fuse-mountopts=nosuid,nodev',
    `--log-file=${onHost.log(root, gluster.name)}`,
    ...gluster.servers.map((server) => `--volfile-server=${server}`),
    ...[`--volfile-id=/${gluster.name}`, point],
  ];
  try {
    const kept = await runOutside(command);
    requireOurs(mountAt(point), place);
    return kept;
  } catch (cause) {
    await endClients(place);
    if (cause instanceof VolumeError) throw cause;
    const from = gluster.servers.join(', ');
    throw new VolumeError(
      'MountFailed',
      `Cannot mount the Gluster volume ${gluster.name} from ${from}: ${messageOf(cause)}; see ${onHost.log(root, gluster.name)}`,
      { cause },
    );
  }
}

/** Runs what leaves a program behind that is to outlive us. Returns the control groups that it could not leave. */
export async function runOutside(command: readonly string[]): Promise<readonly string[]> {
  const args = ['sh', '-c', leaveGroups, 'sh', ...foreignGroups(), '-', ...command];
  const kept = await runCommand('setsid', args, { deadlineMs: mountMs });
  return kept.split('\n').filter(Boolean);
}

/** Throws VolumeError unless the mount is the one that should be there. */
export function requireOurs(entry: MountEntry | undefined, { root, gluster }: MountPlace): MountEntry {
  const point = onHost.point(root, gluster.name);
  if (!entry)
    throw new VolumeError('Unmounted', `Nothing is mounted at ${point}; see ${onHost.log(root, gluster.name)}`);
  if (entry.type !== fuse || !entry.source.endsWith(`:/${gluster.name}`))
    throw new VolumeError('MountFailed', `${entry.source} (${entry.type}) is mounted at ${point}, not ${gluster.name}`);
  return entry;
}

/**
 * Takes the mount away if nobody has a file open in it; false if somebody has. With `force` what waits in it is given up first: for mounts
 * that do not answer. Nothing if there is none.
 */
export async function unmountVolume(place: MountPlace, { force = false } = {}): Promise<boolean> {
  const point = onHost.point(place.root, place.gluster.name);
  while (mountAt(point)) {
    const args = ['--no-canonicalize', ...(force ? ['--force'] : []), point];
    const ended = await startAbandonable('umount', args, { deadlineMs: unmountMs }).ended;
    if (ended?.status !== 0) return false;
  }
  await endClients(place);
  return true;
}

/**
 * A client ends by itself with its mount; one that does not must not stay. It is waited for, or it would be taken for that of the next mount;
 * not for long, since one that waits in the kernel may never end.
 */
async function endClients(place: MountPlace): Promise<void> {
  const deadline = systemClock.monotonic() + endMs;
  for (;;) {
    const { clients } = lookAtMount(place);
    for (const { pid } of clients) signalProcess(pid, 'SIGKILL');
    if (clients.length === 0 || systemClock.monotonic() > deadline) return;
    await systemClock.sleep(pollMs);
  }
}

/** Files to write to in order to leave every control group that is not the root of its hierarchy. */
export function foreignGroups(): readonly string[] {
  const ours = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .map((line) => /^\d+:([^:]*):(.+)$/.exec(line))
    .filter((found) => found !== null && found[2] !== '/')
    .map((found) => found![1]!);
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
    .filter(({ type, options }) => {
      const names = options.split(',');
      if (type === 'cgroup2') return ours.includes('');
      return (
        type === 'cgroup' && ours.some((group) => group !== '' && group.split(',').every((one) => names.includes(one)))
      );
    })
    .map(({ point }) => `${point}/cgroup.procs`)
    .filter(isWritable);
}

function isWritable(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch {
    return false; // a container that does not let its processes out
  }
}
