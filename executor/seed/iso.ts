/** Writes a seed as an ISO file system, which every reader knows. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from '../libvirt/command.ts';
import type { Seed } from './seed.ts';

/** Nothing that a path could step out with. */
const path = /^[a-z][a-z_.-]*(\/[a-z][a-z_.-]*)*$/;

/** The files may hold secrets: readable by root alone until they are in the image, whose reader is QEMU. */
export async function makeIso(image: string, { label, files }: Seed): Promise<void> {
  const foreign = Object.keys(files).find((name) => !path.test(name));
  if (foreign !== undefined) throw new TypeError(`Cannot put ${JSON.stringify(foreign)} into a seed`);
  const directory = `${image}.files.tmp`;
  await mkdir(directory, { mode: 0o700 });
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(directory, name)), { recursive: true, mode: 0o700 });
      await writeFile(join(directory, name), content, { mode: 0o600 });
    }
    const options = ['-quiet', '-input-charset', 'utf-8', '-volid', label, '-joliet', '-rock'];
    await runCommand('genisoimage', [...options, '-output', image, directory]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
