/** Seeds as their real readers understand them: cloud-init itself, and an XML parser that is not ours. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { MachineLaunch, SeedSecrets } from '#lib/api/launch.ts';
import { whyNot } from '#test/requires.ts';
import { machineLaunch } from '../testing/world.ts';
import { makeIso } from './iso.ts';
import { seedOf } from './seed.ts';

const run = promisify(execFile);
const uid = randomUUID();
const mac = '52:54:00:00:00:01';
const network = { subnet: 's', subnetUID: 'u', vni: 1, ip: '10.0.0.2', prefix: 24, gateway: '', mac, mtu: 1450 };
const networks = [{ ...network, dns: [], domain: '', leaseSeconds: 60 }];
/** As people choose them, and as no document likes them. */
const password = `p"a: {}'\\<&>#%\u00e9 !`;
const keys = ['ssh-ed25519 AAAA me', 'ssh-ed25519 BBBB "you"'];

const root = join(import.meta.dirname, '../..');
const modules = [join(root, '.factory/tools/cloud-init'), '/']
  .map((at) => join(at, 'usr/lib/python3/dist-packages'))
  .find((folder) => existsSync(join(folder, 'cloudinit')));

/** The file system of the seed, as a folder. */
async function unpacked(folder: string, launch: MachineLaunch, secrets: SeedSecrets): Promise<string> {
  const seed = seedOf(launch, secrets);
  const iso = join(folder, 'seed.iso');
  await makeIso(iso, seed);
  const { stdout: head } = await run('isoinfo', ['-d', '-i', iso]);
  expect(head).toContain(`Volume id: ${seed.label}`);
  const { stdout } = await run('isoinfo', ['-R', '-f', '-i', iso]);
  const out = join(folder, 'seed');
  for (const path of stdout.trim().split('\n')) {
    const { stdout: content } = await run('isoinfo', ['-R', '-x', path, '-i', iso], { maxBuffer: 2 ** 21 });
    await mkdir(dirname(join(out, path)), { recursive: true });
    if (content !== '') await writeFile(join(out, path), content);
  }
  return out;
}

interface Understood {
  readonly parts: Readonly<Record<'user' | 'vendor', readonly { type: string; text: string }[]>>;
  readonly [field: string]: unknown;
}

async function cloudInit(launch: MachineLaunch, secrets: SeedSecrets = {}): Promise<Understood> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'cf-seed-'));
  const seed = await unpacked(folder.path, launch, secrets);
  const kind = launch.seedFormat === 'ConfigDrive' ? 'configdrive' : 'nocloud';
  const script = join(root, 'executor/testing/read-seed.py');
  const env = { PATH: process.env.PATH, PYTHONPATH: modules };
  const { stdout } = await run('/usr/bin/python3', [script, kind, seed, mac], { env });
  return JSON.parse(stdout) as Understood;
}

const missing = modules === undefined ? ['cloud-init'] : ['genisoimage', 'isoinfo', 'python3'];

describe.skipIf(whyNot(missing) !== undefined)('cloud-init', () => {
  const identity = { found: true, instanceId: uid, hostname: 'm-0', keys, wrong: [] };

  test.each(['CloudInit', 'ConfigDrive'] as const)(
    'of %s reads identity, keys, password and network',
    async (seedFormat) => {
      const launch = machineLaunch(uid, { seedFormat, networks, sshKeys: [keys[0]!] });
      const understood = await cloudInit(launch, { sshKeys: [keys[1]!], adminPassword: password });
      expect(understood).toMatchObject(identity);
      const [vendor] = understood.parts.vendor;
      expect(vendor!.type).toBe('text/cloud-config');
      expect(JSON.parse(vendor!.text.replace('#cloud-config', ''))).toEqual({ password, chpasswd: { expire: false } });
      expect(JSON.stringify(understood.network)).toMatch(/dhcp4.*1450|1450.*dhcp4/);
      expect(JSON.stringify(understood.network)).toContain(mac);
    },
  );

  test.each(['CloudInit', 'ConfigDrive'] as const)(
    'of %s has 512 KiB of user data as they were',
    async (seedFormat) => {
      const userData = `#!/bin/sh\n# \u00e9 ${'x'.repeat(512 * 1024)}\n`;
      const { parts } = await cloudInit(machineLaunch(uid, { seedFormat, networks }), { userData });
      expect(parts.user).toEqual([{ type: 'text/x-shellscript', text: userData }]);
    },
  );

  test('network data of the user takes the place of ours', async () => {
    const networkData = 'version: 2\nethernets: {mine: {dhcp4: false}}\n';
    const { network: understood } = await cloudInit(machineLaunch(uid, { networks, networkData }));
    expect(understood).toEqual({ version: 2, ethernets: { mine: { dhcp4: false } } });
  });
});

describe('cloudbase-init', () => {
  test('finds name, keys and password where OpenStack has them, and no other file', () => {
    const launch = machineLaunch(uid, { seedFormat: 'CloudbaseInit', networks, hostname: 'WIN-1' });
    const { label, files } = seedOf(launch, { sshKeys: keys, adminPassword: password, userData: '#ps1_sysnative\n' });
    expect(label).toBe('config-2');
    const public_keys = { key0: keys[0], key1: keys[1] };
    const metaData = { uuid: uid, name: 'WIN-1', hostname: 'WIN-1', public_keys, admin_pass: password };
    expect(JSON.parse(files['openstack/latest/meta_data.json']!)).toEqual(metaData);
    expect(Object.keys(files).sort()).toEqual(['openstack/latest/meta_data.json', 'openstack/latest/user_data']);
  });
});

describe.skipIf(whyNot(['genisoimage', 'isoinfo', 'python3']) !== undefined)('Windows Setup', () => {
  const launch = machineLaunch(uid, { seedFormat: 'Sysprep', hostname: 'WIN-1' });

  async function answers(secrets: SeedSecrets): Promise<Record<string, Record<string, string>>> {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'cf-seed-'));
    const file = join(await unpacked(folder.path, launch, secrets), 'unattend.xml');
    const script = [
      'import json, sys, xml.etree.ElementTree as tree',
      'ns = "{urn:schemas-microsoft-com:unattend}"',
      'root = tree.parse(sys.argv[1]).getroot()',
      'assert root.tag == ns + "unattend", root.tag',
      'leaves = lambda e: {c.tag[len(ns):]: c.text for c in e.iter() if len(c) == 0}',
      'print(json.dumps({s.get("pass"): leaves(s) for s in root}))',
    ];
    const { stdout } = await run('/usr/bin/python3', ['-c', script.join('\n'), file]);
    return JSON.parse(stdout) as Record<string, Record<string, string>>;
  }

  test('reads the computer name and the password of the administrator', async () => {
    const { specialize, oobeSystem } = await answers({ adminPassword: password });
    expect(specialize).toEqual({ ComputerName: 'WIN-1' });
    expect(oobeSystem).toMatchObject({ Value: password, PlainText: 'true', HideEULAPage: 'true' });
    expect((await answers({})).oobeSystem).not.toHaveProperty('Value');
  });

  test('gets an answer file of the user as it is; a password that XML cannot hold is refused without being told', async () => {
    expect(seedOf(launch, { userData: '<mine/>' }).files).toEqual({ 'unattend.xml': '<mine/>' });
    expect(() => seedOf(launch, { adminPassword: 'secret\u0001' })).toThrow(/^(?!.*secret).*XML cannot hold/);
  });
});

test('a path that leaves the seed is refused', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'cf-seed-'));
  await expect(makeIso(join(folder.path, 'x'), { label: 'x', files: { 'a/../../b': '' } })).rejects.toThrow(
    'a/../../b',
  );
  await expect(readFile(join(folder.path, 'b'))).rejects.toThrow('ENOENT');
});
