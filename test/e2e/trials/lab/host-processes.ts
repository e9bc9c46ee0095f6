/** Processes of pretended hosts, as the computer's own list has them: it needs nobody's answer. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { localPaths } from '#cli/local/settings.ts';
import { identifyProcess, type ProcessIdentity } from '#lib/std/process-identity.ts';
import { commandOf, commandsIn } from '../../real-cluster.ts';

export interface HostProcess {
  readonly identity: ProcessIdentity;
  readonly command: string;
}

export interface Qemu {
  readonly uid: string;
  readonly host: string;
  readonly identity: ProcessIdentity;
  /** Its guest came, or is to come, from another host; what it was started with says so as long as it lives. */
  readonly receives: boolean;
}

/** All that live in this network namespace. */
export function processesIn(netns: string): readonly HostProcess[] {
  const inode = inodeOf(netns);
  if (inode === undefined) return [];
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && networkOf(entry) === `net:[${inode}]`)
    .flatMap((entry) => {
      const identity = identifyProcess(Number(entry));
      return identity ? [{ identity, command: commandOf(entry) }] : [];
    });
}

/**
 * Every guest that runs, stopped or not: a QEMU that has virtual processors. One that cannot open its disk ends before it has any; one that
 * was killed loses them at once, even where it hangs in the kernel.
 */
export function qemusIn(dir: string, hosts: readonly string[]): readonly Qemu[] {
  return commandsIn(dir).flatMap(({ pid, command }) => {
    const uid = /guest=cf-([0-9a-f-]{36})/.exec(command)?.[1];
    const host = hosts.find((name) => command.includes(`${localPaths(dir).host(name)}/`));
    const identity = uid && host && hasProcessors(pid) ? identifyProcess(pid) : undefined;
    return uid && host && identity ? [{ uid, host, identity, receives: command.includes(' -incoming ') }] : [];
  });
}

/** libvirt has QEMU name its threads: `CPU 0/TCG`, `CPU 0/KVM`, or `ALL CPUs/TCG`. */
function hasProcessors(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  return namesIn(tasks).some((task) => /^(CPU \d|ALL CPUs)/.test(read(join(tasks, task, 'comm'))));
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it ended between the list and the look
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // likewise
  }
}

/** Process 1 of the host; undefined while it has no power. */
export function initOf(machineDir: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(join(machineDir, 'pid'), 'utf8')) as ProcessIdentity;
  } catch {
    return undefined; // it was never started, or is about to boot
  }
}

function inodeOf(netns: string): number | undefined {
  return statSync(`/run/netns/${netns}`, { throwIfNoEntry: false })?.ino;
}

function networkOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return ''; // it ended between the list and the look
  }
}
