/**
 * Control groups of a pretended host: one of its own in each hierarchy below the one of who starts it, so that the limits of the computer
 * hold for all of it. Version 1 only: version 2 wants the processes of the computer to be where its own manager put them.
 */
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';

/** What libvirt needs to limit a guest; and to weigh what it asks of disks, where there is that. */
const needed = ['cpu', 'memory'];
const wished = ['blkio'];
const mounts = '/sys/fs/cgroup';
/** The kernel needs a moment after the last process of a group has gone. */
const removeMs = 10_000;

/** undefined where a pretended host can have control groups. */
export function whyNoCgroups(): string | undefined {
  try {
    needed.forEach(requireWritable);
    return undefined;
  } catch (error) {
    return `a pretended host needs control groups (version 1, cpu and memory) that can be written: ${String(error)}`;
  }
}

function requireWritable(controller: string): void {
  accessSync(join(parentOf(controller), 'cgroup.procs'), constants.W_OK);
}

/** Those of a pretended host, in the order of its groups. */
export function controllersHere(): readonly string[] {
  const isThere = (controller: string): boolean => {
    try {
      requireWritable(controller);
      return true;
    } catch {
      return false;
    }
  };
  return [...needed, ...wished.filter(isThere)];
}

/** Directories of the host's groups, made if they are not there; none where it cannot have any. */
export function makeCgroups(name: string): readonly string[] {
  if (whyNoCgroups() !== undefined) return [];
  const groups = controllersHere().map((controller) => groupOf(controller, name));
  for (const group of groups) mkdirSync(group, { recursive: true });
  return groups;
}

/** After its processes have ended. Nothing if there are none. */
export async function removeCgroups(name: string, clock: Clock): Promise<void> {
  if (whyNoCgroups() !== undefined) return;
  const deadline = clock.monotonic() + removeMs;
  for (const controller of controllersHere()) {
    for (;;) {
      try {
        removeTree(groupOf(controller, name));
        break;
      } catch (error) {
        if (clock.monotonic() > deadline) throw error;
        await clock.sleep(20);
      }
    }
  }
}

function groupOf(controller: string, name: string): string {
  return join(parentOf(controller), `computefactory-${name}`);
}

/** Where this process is in the hierarchy. */
function parentOf(controller: string): string {
  const line = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .find((each) => each.split(':')[1]?.split(',').includes(controller));
  if (line === undefined) throw new Error(`the kernel has no controller ${controller} of version 1`);
  return join(mounts, controller, line.split(':').slice(2).join(':'));
}

/** Only directories can be removed in there; the files go with them. */
function removeTree(directory: string): void {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(directory, entry.name));
    rmdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
