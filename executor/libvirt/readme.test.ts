import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { openRealHost, whyNoRealHost } from '#test/real-host.ts';

const text = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');

test('every file that the README names exists, and every call', () => {
  const names = [...text.matchAll(/`([\w/-]+\.(?:ts|md))`/g)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(10);
  const root = join(import.meta.dirname, '../..');
  const missing = names.filter((name) => ![import.meta.dirname, root].some((folder) => existsSync(join(folder, name))));
  expect(missing).toEqual([]);
  const source = readFileSync(join(import.meta.dirname, 'libvirt.ts'), 'utf8');
  const calls = [...source.matchAll(/^ {2}async (\w+)\(/gm)].map(([, name]) => name);
  const listed = /## Calls\n\n([^.]*)\./.exec(text)![1]!;
  expect([...listed.matchAll(/`(\w+)`/g)].map(([, name]) => name)).toEqual(calls);
});

test.skipIf(whyNoRealHost() !== undefined)('the example of the README runs a guest', { timeout: 60_000 }, async () => {
  const [, code] = /^```ts\n(.*?)^```/ms.exec(text)!;
  await using host = await openRealHost();
  const example = join(host.image, '../example.ts');
  const root = join(import.meta.dirname, '../..');
  await writeFile(example, code!.replaceAll(/'#executor\//g, `'${root}/executor/`));
  const { runOnce } = (await import(pathToFileURL(example).href)) as {
    runOnce: (socket: string, xml: string) => Promise<string>;
  };
  // One sector: mov $0x604,%dx; mov $0x2000,%ax; out %ax,(%dx), which turns the machine off; hlt.
  const sector = Buffer.alloc(512);
  sector.write('ba0406b80020eff4', 'hex');
  sector.write('55aa', 510, 'hex');
  const disk = join(host.image, '../disk');
  await writeFile(disk, sector);
  const device = `<disk type="file"><source file="${disk}"/><target dev="hda" bus="ide"/></disk>`;
  const machine = '<os><type arch="x86_64" machine="pc">hvm</type></os><features><acpi/></features>';
  const xml = `<domain type="qemu"><name>once</name><memory unit="MiB">32</memory>${machine}<devices>${device}</devices></domain>`;
  expect(await runOnce(host.socket, xml)).toBe('Shutdown');
  expect(await runOnce(host.socket, xml)).toBe('Shutdown');
});
