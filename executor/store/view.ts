/** From where a mount is seen: a process in whose mount namespace it is. A pretended host has one of its own; else it is the executor's. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isRunning, type ProcessIdentity } from '#lib/std/process-identity.ts';
import { namespaceOf } from '../processes/kernel.ts';
import { type MountEntry, parseMountinfo } from '../volumes/mountinfo.ts';

export interface View {
  /** undefined while the host is off. */
  pid(): string | undefined;
}

export const ownView: View = { pid: () => 'self' };

/** Of the host whose process 1 is in this file. */
export function viewOf(pidFile: string): View {
  return {
    pid() {
      try {
        const init = JSON.parse(readFileSync(pidFile, 'utf8')) as ProcessIdentity;
        return isRunning(init) ? String(init.pid) : undefined;
      } catch {
        return undefined; // off
      }
    },
  };
}

/** The mount that this directory is in, asked of the kernel only; undefined where there is none or the host is off. */
export function mountOf(directory: string, view: View): MountEntry | undefined {
  return mountAround(directory, mountsIn(view));
}

export function mountAround(directory: string, entries: readonly MountEntry[]): MountEntry | undefined {
  for (let place = directory; ; place = dirname(place)) {
    const found = entries.findLast(({ point }) => point === place);
    if (found || place === '/') return found;
  }
}

function mountsIn(view: View): readonly MountEntry[] {
  const pid = view.pid();
  try {
    return pid === undefined ? [] : parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
  } catch {
    return []; // gone meanwhile
  }
}

/** Makes a command one that is run where the mount is seen. Throws if the host is off: elsewhere it would do something else. */
export function inView(view: View, command: readonly string[]): readonly string[] {
  const pid = view.pid();
  if (pid === undefined) throw new Error('The host is off');
  return pid === 'self' ? command : ['nsenter', `--target=${pid}`, '--mount', '--net', ...command];
}

export function mountNamespace(view: View): string {
  const pid = view.pid();
  return pid === undefined ? '' : namespaceOf(pid);
}
