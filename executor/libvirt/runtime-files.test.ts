import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeRuntimeFiles } from './runtime-files.ts';

const uid = '0f8fad5b-d9cb-469f-a165-70867728950e';
const short = 'cf-0f8fad5b-d9cb-469';
const later = () => Date.now() + 3_600_000;

async function openLibvirt(...names: readonly string[]) {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  for (const name of names) {
    mkdirSync(join(directory.path, name), { recursive: true });
    writeFileSync(join(directory.path, name, 'master-key.aes'), 'key');
  }
  return {
    path: directory.path,
    left: () => readdirSync(directory.path).toSorted(),
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

test('what a power cut left of our machines goes; what is of others, or of one that runs, stays', async () => {
  const ours = [`domain-1-${short}`, `domain-7-${short}`];
  const others = ['domain-1-web', 'domain-1-cf-like', 'nvram', 'save'];
  await using libvirt = await openLibvirt(...ours, ...others, `channel/target/domain-1-${short}`);
  const running = async () => [{ id: 7, name: `cf-${uid}` }];
  const removed = await removeRuntimeFiles(libvirt.path, running, later());
  expect(removed).toEqual([join(libvirt.path, ours[0]!), join(libvirt.path, 'channel/target', ours[0]!)]);
  expect(libvirt.left()).toEqual(['channel', ours[1]!, ...others].toSorted());
});

test('one that is new may be of a guest that is just being started', async () => {
  await using libvirt = await openLibvirt(`domain-1-${short}`);
  expect(await removeRuntimeFiles(libvirt.path, async () => [], Date.now())).toEqual([]);
  expect(libvirt.left()).toEqual([`domain-1-${short}`]);
});

test('nothing is removed while libvirt does not say what runs, and a host without libvirt has nothing', async () => {
  await using libvirt = await openLibvirt(`domain-1-${short}`);
  const mute = async () => Promise.reject(new Error('no libvirt'));
  await expect(removeRuntimeFiles(libvirt.path, mute, later())).rejects.toThrow('no libvirt');
  expect(libvirt.left()).toEqual([`domain-1-${short}`]);
  expect(await removeRuntimeFiles('/nowhere', mute, later())).toEqual([]);
});

test('a QEMU that puts links where its files were does not lead elsewhere', async () => {
  const name = `domain-1-${short}`;
  await using libvirt = await openLibvirt(name, `channel/target/${name}`, `elsewhere/${name}`);
  const elsewhere = join(libvirt.path, 'elsewhere');
  renameSync(join(libvirt.path, 'channel/target'), join(libvirt.path, 'channel/kept'));
  symlinkSync(elsewhere, join(libvirt.path, 'channel/target'));
  symlinkSync(elsewhere, join(libvirt.path, name, 'link'));
  await removeRuntimeFiles(libvirt.path, async () => [], later());
  expect(libvirt.left()).toEqual(['channel', 'elsewhere']);
  expect(readdirSync(join(elsewhere, name))).toEqual(['master-key.aes']);
});
