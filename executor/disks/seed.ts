/** The NoCloud seed: an ISO file system named `cidata`, as cloud-init looks for it. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../libvirt/command.ts';

const names: ReadonlySet<string> = new Set(['meta-data', 'user-data', 'network-config', 'vendor-data']);

/** `files` by name. They may hold secrets: readable by root alone until they are in the image, whose reader is QEMU. */
export async function makeSeed(image: string, files: Readonly<Record<string, string>>): Promise<void> {
  const foreign = Object.keys(files).find((name) => !names.has(name));
  if (foreign !== undefined) throw new TypeError(`Cannot put ${JSON.stringify(foreign)} into a NoCloud seed`);
  const directory = `${image}.files.tmp`;
  await mkdir(directory, { mode: 0o700 });
  try {
    for (const [name, content] of Object.entries(files))
      await writeFile(join(directory, name), content, { mode: 0o600 });
    const options = ['-quiet', '-input-charset', 'utf-8', '-volid', 'cidata', '-joliet', '-rock'];
    await runCommand('genisoimage', [...options, '-output', image, directory]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
