/** Every field of a machine that reaches a seed, in every format of seed: read back by parsers that are not ours. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { MachineLaunch, MachineNetwork, SeedFormat, SeedSecrets } from '#lib/api/launch.ts';
import { fc } from '#test/properties.ts';
import { hostileText } from '../testing/hostile.ts';
import { machineLaunch } from '../testing/world.ts';
import { rowsOf } from '../testing/xml-rows.ts';
import { type Seed, seedOf } from './seed.ts';

const uid = randomUUID();
const network: MachineNetwork = {
  ...{ subnet: 's', subnetUID: 'u', vni: 1, ip: '10.0.0.2', prefix: 24, gateway: '', mac: '52:54:00:00:00:01' },
  ...{ mtu: 1450, dns: [], domain: '', leaseSeconds: 3600 },
};
const volume = { uid, type: 'SharedFilesystem', glusterVolume: 'vm', bytes: 1 } as const;

interface Fields {
  readonly hostname: string;
  readonly sshKeys: readonly string[];
  readonly secretKeys: readonly string[];
  readonly userData: string | undefined;
  readonly networkData: string | undefined;
  readonly adminPassword: string | undefined;
  readonly mac: string;
  readonly tag: string;
  readonly mountPath: string;
}

const optional = fc.option(hostileText, { nil: undefined });
const fields: fc.Arbitrary<Fields> = fc.record({
  hostname: fc.oneof(hostileText, { weight: 6, arbitrary: fc.stringMatching(/^[A-Za-z0-9.-]{1,6}$/) }),
  sshKeys: fc.array(hostileText, { maxLength: 2 }),
  secretKeys: fc.array(hostileText, { maxLength: 2 }),
  ...{ userData: optional, networkData: optional, adminPassword: optional },
  ...{ mac: hostileText, tag: hostileText, mountPath: hostileText },
});

function seedWith(seedFormat: SeedFormat, each: Fields): Seed {
  const { hostname, sshKeys, secretKeys, userData, networkData, adminPassword, mac, tag, mountPath } = each;
  const networks = [{ ...network, mac }];
  const volumes = [{ ...volume, name: tag, mountPath }];
  const launch: MachineLaunch = { ...machineLaunch(uid, { seedFormat, hostname, sshKeys, networks, volumes }) };
  const secrets: SeedSecrets = {
    sshKeys: secretKeys,
    ...(userData === undefined ? {} : { userData }),
    ...(networkData === undefined ? {} : { networkData }),
    ...(adminPassword === undefined ? {} : { adminPassword }),
  };
  return seedOf(launch, secrets);
}

/** YAML 1.1 is what cloud-init reads: it knows more words and numbers than 1.2. */
function asYaml(text: string): unknown {
  const [old, today] = (['1.1', '1.2'] as const).map((version) => parse(text, { version }));
  expect(old).toEqual(today);
  return today;
}

const vendor = ({ adminPassword, tag, mountPath }: Fields) => ({
  ...(adminPassword === undefined ? {} : { password: adminPassword, chpasswd: { expire: false } }),
  mounts: [[tag, mountPath, 'virtiofs', 'defaults,nofail', '0', '0']],
});

/** Checks every file of the seed, and tells their names. */
type Reader = (each: Fields, files: Readonly<Record<string, string>>) => readonly string[];

const cloudInit: Reader = (each, files) => {
  const { hostname, sshKeys, secretKeys, userData, networkData, mac } = each;
  const keys = [...sshKeys, ...secretKeys];
  expect(asYaml(files['meta-data']!)).toEqual({
    ...{ 'instance-id': uid, 'local-hostname': hostname },
    ...(keys.length === 0 ? {} : { 'public-keys': keys }),
  });
  if (userData === undefined) expect(asYaml(files['user-data']!)).toEqual({ hostname, ssh_authorized_keys: keys });
  else expect(files['user-data']).toBe(userData);
  if (networkData !== undefined) expect(files['network-config']).toBe(networkData);
  else
    expect(asYaml(files['network-config']!)).toEqual({
      version: 2,
      ethernets: { nic0: { match: { macaddress: mac }, dhcp4: true, mtu: 1450 } },
    });
  expect(files['vendor-data']).toMatch(/^#cloud-config\n/);
  expect(asYaml(files['vendor-data']!)).toEqual(vendor(each));
  return ['meta-data', 'network-config', 'user-data', 'vendor-data'];
};

function metaData(each: Fields, files: Readonly<Record<string, string>>, password: object): readonly string[] {
  const { hostname, sshKeys, secretKeys, userData, networkData } = each;
  const keys = [...sshKeys, ...secretKeys].map((key, index) => [`key${index}`, key]);
  const own = { uuid: uid, name: hostname, hostname, public_keys: Object.fromEntries(keys), ...password };
  expect(JSON.parse(files['openstack/latest/meta_data.json']!)).toEqual(own);
  if (userData !== undefined) expect(files['openstack/latest/user_data']).toBe(userData);
  if (networkData !== undefined) expect(files['openstack/latest/network_data.json']).toBe(networkData);
  return ['meta_data.json', ...(userData === undefined ? [] : ['user_data'])];
}

const configDrive: Reader = (each, files) => {
  const names = metaData(each, files, {});
  if (each.networkData === undefined)
    expect(JSON.parse(files['openstack/latest/network_data.json']!)).toEqual({
      links: [{ id: 'nic0', type: 'phy', ethernet_mac_address: each.mac, mtu: 1450 }],
      networks: [{ id: 'network0', type: 'ipv4_dhcp', link: 'nic0' }],
      services: [],
    });
  const drive = JSON.parse(files['openstack/latest/vendor_data.json']!) as { 'cloud-init': string };
  expect(Object.keys(drive)).toEqual(['cloud-init']);
  expect(asYaml(drive['cloud-init'])).toEqual(vendor(each));
  return [...names, 'network_data.json', 'vendor_data.json'].map((name) => `openstack/latest/${name}`);
};

const cloudbaseInit: Reader = (each, files) => {
  const { adminPassword, networkData } = each;
  const names = metaData(each, files, adminPassword === undefined ? {} : { admin_pass: adminPassword });
  return [...names, ...(networkData === undefined ? [] : ['network_data.json'])].map(
    (name) => `openstack/latest/${name}`,
  );
};

const sysprep: Reader = (each, files) => {
  const { hostname, userData, adminPassword } = each;
  if (userData !== undefined) expect(files['unattend.xml']).toBe(userData);
  else {
    const usual = { ...each, hostname: 'NAME', ...(adminPassword === undefined ? {} : { adminPassword: 'PASSWORD' }) };
    const valueFor = (text: string) => ({ NAME: hostname, PASSWORD: adminPassword })[text] ?? text;
    // An element without text has no row for it.
    const expected = rowsOf(seedWith('Sysprep', usual).files['unattend.xml']!)
      .map((row) => row.map(valueFor))
      .filter(([path, text]) => !(path?.endsWith('#') && text === ''));
    expect(rowsOf(files['unattend.xml']!)).toEqual(expected);
  }
  return ['unattend.xml'];
};

const readers: readonly [SeedFormat, Reader][] = [
  ['CloudInit', cloudInit],
  ['ConfigDrive', configDrive],
  ['CloudbaseInit', cloudbaseInit],
  ['Sysprep', sysprep],
];

test.each(readers)(
  '%s: whatever a field holds, its reader has just that, in that place, or it is refused',
  (format, read) => {
    let accepted = 0;
    fc.assert(
      fc.property(fields, (each) => {
        let seed: Seed;
        try {
          seed = seedWith(format, each);
        } catch (error) {
          expect((error as Error).message).toMatch(/hostname|user data|network data|administrator password/);
          return;
        }
        accepted += 1;
        expect(read(each, seed.files).toSorted()).toEqual(Object.keys(seed.files).toSorted());
        expect(seed.label).toMatch(/^(cidata|config-2|unattend)$/);
      }),
      { numRuns: 1_500 },
    );
    expect(accepted).toBeGreaterThan(300);
  },
);
