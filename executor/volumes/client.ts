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
  const { root, gluster } = place;
  for (const point of [onHost.readOnly, onHost.readOnlyDraft, onHost.point])
    if (!(await unmount(point(root, gluster.name), force))) return false;
  await endClients(place);
  return true;
}

async function unmount(point: string, force = false): Promise<boolean> {
  while (mountAt(point)) {
    const args = ['--no-canonicalize', ...(force ? ['--force'] : []), point];
    const ended = await startAbandonable('umount', args, { deadlineMs: unmountMs }).ended;
    if (ended?.status !== 0) return false;
  }
  return true;
}

/**
 * The same mount at a place through which the kernel lets nobody write: a server of a guest's directory there can be made to do anything, and
 * changes nothing. Repeatable; the mount itself must be there. To read alone is a mark of one mount in one namespace, and would not reach the
 * copy that libvirt's has of it; so what is given to others is bound from one that has the mark already, which goes with it. Throws VolumeError.
 */
export async function mountReadOnly(place: MountPlace): Promise<string> {
  const { root, gluster } = place;
  const { device } = requireOurs(lookAtMount(place).entry, place);
  const [point, draft] = [onHost.readOnly(root, gluster.name), onHost.readOnlyDraft(root, gluster.name)];
  const isRight = () => mountAt(point)?.device === device && mountAt(point)?.readOnly;
  if (isRight()) return point;
  for (const each of [point, draft]) {
    if (!(await unmount(each)))
      throw new VolumeError(
        'StaleInUse',
        `What was mounted at ${each} before is in use: turn off the machines that use it`,
      );
    mkdirSync(each, { recursive: true, mode: 0o755 });
  }
  await mount('--bind', onHost.point(root, gluster.name), draft);
  await mount('-o', 'remount,bind,ro', draft);
  await mount('--bind', draft, point);
  await unmount(draft);
  if (!isRight()) throw new VolumeError('MountFailed', `${point} can be written to, or is another mount: see dmesg`);
  return point;
}

async function mount(...args: readonly string[]): Promise<void> {
  const ended = await startAbandonable('mount', ['--no-canonicalize', ...args], { deadlineMs: unmountMs }).ended;
  if (ended?.status === 0) return;
  const why = ended?.stderr.trim() || `it did not end within ${unmountMs} ms`;
  throw new VolumeError('MountFailed', `Cannot mount ${args.at(-1)} to read alone: ${why}`);
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
