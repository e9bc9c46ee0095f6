/**
 * Who uses a mount, by what the kernel tells of processes. Nothing here asks the file system, and nothing waits. A process that was killed
 * and waits in the kernel for a file system is still there: it has lost its memory, its command line and its list of files by then, so it
 * must have been known before.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ProcessIdentity } from '#lib/std/process-identity.ts';
import { type MountEntry, parseMountinfo } from '../volumes/mountinfo.ts';

/** Flag of a process that is on its way out (PF_EXITING). */
const exiting = 0x4;
const sigkill = 1n << 8n;
/** Programs that run guests or serve them. */
const ofGuests = /^(qemu-(?!img)|kvm|virtiofsd)/;

/** Names of guests that run with files of the file system `device` open. */
export function usersOf(device: string): readonly string[] {
  const mountIds = new Map<string, ReadonlySet<string>>();
  return processIds().flatMap((pid) => {
    if (!ofGuests.test(nameOf(pid)) || isEnding(pid)) return [];
    const namespace = linkOf(pid, 'ns/mnt');
    if (!mountIds.has(namespace)) mountIds.set(namespace, idsOf(pid, device));
    return hasOpen(pid, mountIds.get(namespace)!) ? [guestOf(pid) ?? `process ${pid}`] : [];
  });
}

/** The clients that answer for what is mounted at `point`, in the mount namespace of that process. */
export function clientsOf(point: string, namespace: string): readonly ProcessIdentity[] {
  return processIds().flatMap((pid) => {
    const names = argumentsOf(pid).map((word) => word.replace(/(?<=.)\/+$/, ''));
    const isIt = names.includes(point) && isClient(pid, namespace);
    const startTime = isIt ? statOf(pid)?.startTime : undefined;
    return startTime === undefined ? [] : [{ pid: Number(pid), startTime }];
  });
}

/**
 * Whether a client may answer for it. One that was told another name of the place, by a symbolic link, is found by what it mounts; so one of
 * the same volume at another place counts, too: better a dead mount that stays than a living one that is taken away.
 */
export function hasClient({ point, source }: MountEntry, namespace: string): boolean {
  const at = source.lastIndexOf(':');
  const [server, volume] = [source.slice(0, at), source.slice(at + 1).replace(/^\//, '')];
  const mounts = (pid: string): boolean => {
    const words = argumentsOf(pid);
    const isVolume = [volume, `/${volume}`].some((id) => words.includes(`--volfile-id=${id}`));
    return isVolume && words.includes(`--volfile-server=${server}`) && isClient(pid, namespace);
  };
  return clientsOf(point, namespace).length > 0 || processIds().some(mounts);
}

function isClient(pid: string, namespace: string): boolean {
  return linkOf(pid, 'ns/mnt') === namespace && hasFuse(pid);
}

/** QEMU's process of every guest that has one, by uid. */
export function qemuProcesses(): ReadonlyMap<string, ProcessIdentity> {
  const found = new Map<string, ProcessIdentity>();
  for (const pid of processIds()) {
    const uid = ofGuests.test(nameOf(pid)) ? guestOf(pid) : undefined;
    const startTime = uid === undefined ? undefined : statOf(pid)?.startTime;
    if (uid !== undefined && startTime !== undefined) found.set(uid, { pid: Number(pid), startTime });
  }
  return found;
}

/** It holds something of the host: one of its threads has not ended, be it that it cannot. */
export function isThere({ pid, startTime }: ProcessIdentity): boolean {
  const stat = statOf(String(pid));
  if (stat?.startTime !== startTime) return false;
  if (!isOver(stat.state)) return true;
  return namesIn(`/proc/${pid}/task`).some((thread) => {
    const its = statOf(`${pid}/task/${thread}`);
    return its !== undefined && !isOver(its.state);
  });
}

/** Killed, and not gone. */
export function isEnding(pid: string): boolean {
  const stat = statOf(pid);
  if (!stat || isOver(stat.state) || (stat.flags & exiting) !== 0) return true;
  const pending = /^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)$/gm;
  return [...textOf(pid, 'status').matchAll(pending)].some(([, mask]) => (BigInt(`0x${mask}`) & sigkill) !== 0n);
}

export function namespaceOf(pid: string): string {
  return linkOf(pid, 'ns/mnt');
}

interface Stat {
  readonly state: string;
  readonly flags: number;
  readonly startTime: number;
}

function statOf(pid: string): Stat | undefined {
  const text = textOf(pid, 'stat');
  // The name may hold blanks and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return text === '' ? undefined : { state: fields[0]!, flags: Number(fields[6]), startTime: Number(fields[19]) };
}

function isOver(state: string): boolean {
  return state === 'Z' || state === 'X';
}

function guestOf(pid: string): string | undefined {
  const all = argumentsOf(pid);
  const at = all.indexOf('-uuid');
  return at < 0 ? undefined : all[at + 1];
}

function idsOf(pid: string, device: string): ReadonlySet<string> {
  const its = parseMountinfo(textOf(pid, 'mountinfo')).filter((entry) => entry.device === device);
  return new Set(its.map(({ id }) => String(id)));
}

function hasOpen(pid: string, mountIds: ReadonlySet<string>): boolean {
  if (mountIds.size === 0) return false;
  return namesIn(`/proc/${pid}/fdinfo`).some((file) =>
    mountIds.has(/^mnt_id:\s*(\d+)$/m.exec(textOf(pid, `fdinfo/${file}`))?.[1] ?? ''),
  );
}

function hasFuse(pid: string): boolean {
  return namesIn(`/proc/${pid}/fd`).some((file) => linkOf(pid, `fd/${file}`) === '/dev/fuse');
}

function processIds(): readonly string[] {
  return namesIn('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
}

function nameOf(pid: string): string {
  return textOf(pid, 'comm').trim();
}

function argumentsOf(pid: string): readonly string[] {
  return textOf(pid, 'cmdline').split('\0');
}

/** Whatever is gone meanwhile says nothing. */
function textOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function linkOf(pid: string, file: string): string {
  try {
    return readlinkSync(`/proc/${pid}/${file}`);
  } catch {
    return '';
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
