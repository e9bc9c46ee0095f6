/** Who uses a mount, and who answers for it, by what the kernel tells of processes: nothing here asks the file system, and nothing waits. */
import { identifyProcess, type ProcessIdentity } from '#lib/std/process-identity.ts';
import { argumentsOf, isEnding, linkOf, namesIn, namespaceOf, processIds, textOf } from '../processes/kernel.ts';
import { guestProcesses } from '../processes/qemu.ts';
import { type MountEntry, parseMountinfo } from '../volumes/mountinfo.ts';

/** Names of guests that run with files of the file system `device` open. */
export function usersOf(device: string): readonly string[] {
  const mountIds = new Map<string, ReadonlySet<string>>();
  return guestProcesses().flatMap(({ pid, guest }) => {
    if (isEnding(pid)) return [];
    const namespace = namespaceOf(pid);
    if (!mountIds.has(namespace)) mountIds.set(namespace, idsOf(pid, device));
    return hasOpen(pid, mountIds.get(namespace)!) ? [guest()] : [];
  });
}

/** The clients that answer for what is mounted at `point`, in the mount namespace of that process. */
export function clientsOf(point: string, namespace: string): readonly ProcessIdentity[] {
  return processIds().flatMap((pid) => {
    const names = argumentsOf(pid).map((word) => word.replace(/(?<=.)\/+$/, ''));
    return names.includes(point) && isClient(pid, namespace) ? (identifyProcess(Number(pid)) ?? []) : [];
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
  return namespaceOf(pid) === namespace && hasFuse(pid);
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
