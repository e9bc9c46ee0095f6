/**
 * What the kernel tells of processes. Nothing here asks a file system of a disk, and nothing waits. A process that was killed and waits in the
 * kernel is still there: it has lost its memory, its command line and its list of files by then, so it must have been known before.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ProcessIdentity } from '#lib/std/process-identity.ts';

/** Flag of a process that is on its way out (PF_EXITING). */
const exiting = 0x4;
const sigkill = 1n << 8n;

/** All but this one, also in the process namespaces of pretended hosts. */
export function processIds(): readonly string[] {
  return namesIn('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
}

/** The program's name, cut off after 15 characters. */
export function nameOf(pid: string): string {
  return textOf(pid, 'comm').trim();
}

export function argumentsOf(pid: string): readonly string[] {
  return textOf(pid, 'cmdline').split('\0');
}

export function namespaceOf(pid: string): string {
  return linkOf(pid, 'ns/mnt');
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

/** Whatever is gone meanwhile says nothing. */
export function textOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

export function linkOf(pid: string, file: string): string {
  try {
    return readlinkSync(`/proc/${pid}/${file}`);
  } catch {
    return '';
  }
}

export function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
