/** Mounts at one place, seen in the kernel's list: what is mounted may not answer any more. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);
const commandMs = 10_000;

/** Types of what is mounted at `place`, the topmost last. */
export function mountsAt(place: string): readonly string[] {
  const escaped = place.replace(/[ \t\n\\]/g, (each) => `\\${each.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[4] === escaped)
    .map((fields) => fields[fields.indexOf('-') + 1]!);
}

/** Takes away what is on top as long as it is of this type; whoever uses it still has it. Nothing if there is none. */
export async function removeMounts(place: string, type?: string): Promise<void> {
  for (;;) {
    const top = mountsAt(place).at(-1);
    if (top === undefined || (type !== undefined && top !== type)) return;
    await run('umount', ['--lazy', place], { timeout: commandMs });
  }
}

/** Makes the directory a mount of its own, so that what is mounted below it can be seen elsewhere. Repeatable. */
export async function shareMounts(place: string): Promise<void> {
  mkdirSync(place, { recursive: true, mode: 0o755 });
  if (mountsAt(place).length === 0) await run('mount', ['--bind', place, place], { timeout: commandMs });
  await run('mount', ['--make-shared', place], { timeout: commandMs });
}
