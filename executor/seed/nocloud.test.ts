import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { MachineLaunch } from '#lib/api/launch.ts';
import { fc } from '#test/properties.ts';
import { hostileText } from '../testing/hostile.ts';
import { machineLaunch } from '../testing/world.ts';
import { seedOf } from './seed.ts';

const uid = randomUUID();
const seedFiles = (launch: MachineLaunch) => seedOf(launch).files;

test('a NoCloud seed gives cloud-init the identity, the keys and the network', () => {
  const mac = '52:54:00:00:00:01';
  const network = { subnet: 's', subnetUID: 'u', vni: 1, ip: '10.0.0.2', prefix: 24, gateway: '', mac, mtu: 1450 };
  const networks = [{ ...network, dns: [], domain: '', leaseSeconds: 60 }];
  const files = seedFiles(machineLaunch(uid, { networks, sshKeys: ['ssh-ed25519 AAAA me'] }));
  expect(parse(files['meta-data']!)).toEqual({
    'instance-id': uid,
    'local-hostname': 'm-0',
    'public-keys': ['ssh-ed25519 AAAA me'],
  });
  expect(files['user-data']).toMatch(/^#cloud-config\n/);
  expect(parse(files['network-config']!)).toEqual({
    version: 2,
    ethernets: { nic0: { match: { macaddress: mac }, dhcp4: true, mtu: 1450 } },
  });
  // Nor does a network whose addresses the site gives look otherwise to the guest.
  const outside = { ...networks[0]!, ip: '', external: true, segment: { bridge: 'lan' } } as const;
  expect(seedFiles(machineLaunch(uid, { networks: [outside] }))['network-config']).toBe(files['network-config']);
});

test('a NoCloud seed keeps user data as it is', () => {
  expect(seedFiles(machineLaunch(uid, { userData: '#!/bin/sh\n' }))['user-data']).toBe('#!/bin/sh\n');
});

test('a key cannot break out of its place', () => {
  const key = 'x"\nlocal-hostname: evil\n';
  const files = seedFiles(machineLaunch(uid, { sshKeys: [key] }));
  expect(parse(files['meta-data']!)).toMatchObject({ 'local-hostname': 'm-0', 'public-keys': [key] });
});

test.each(['a b', 'a\nb', 'a:b', ''])('hostname %j is refused', (hostname) => {
  expect(() => seedFiles(machineLaunch(uid, { hostname }))).toThrow('hostname');
});

test('whatever name, keys and user data hold, cloud-init reads just that, or they are refused', () => {
  let accepted = 0;
  const values = fc.tuple(
    fc.oneof(hostileText, fc.stringMatching(/^[a-z0-9.-]{1,6}$/)),
    fc.array(hostileText, { maxLength: 3 }),
  );
  fc.assert(
    fc.property(values, fc.option(hostileText, { nil: undefined }), ([hostname, sshKeys], userData) => {
      let files: Readonly<Record<string, string>>;
      try {
        files = seedFiles(machineLaunch(uid, { hostname, sshKeys, ...(userData === undefined ? {} : { userData }) }));
      } catch (error) {
        expect((error as Error).message).toMatch(/hostname|user data/);
        return;
      }
      accepted += 1;
      const keys = sshKeys.length === 0 ? {} : { 'public-keys': sshKeys };
      // YAML 1.1 is what cloud-init reads: it knows more words and numbers than 1.2.
      for (const version of ['1.1', '1.2'] as const) {
        expect(parse(files['meta-data']!, { version })).toEqual({
          'instance-id': uid,
          'local-hostname': hostname,
          ...keys,
        });
        if (userData === undefined)
          expect(parse(files['user-data']!, { version })).toEqual({ hostname, ssh_authorized_keys: sshKeys });
      }
      if (userData !== undefined) expect(Buffer.from(files['user-data']!).toString()).toBe(userData);
      expect(files['meta-data']).not.toMatch(/[\x7f-\x9f\ufeff\ufffe\uffff]/);
    }),
    { numRuns: 4_000 },
  );
  expect(accepted).toBeGreaterThan(500);
});

test.each(['CloudInit', 'ConfigDrive'] as const)(
  '%s mounts the directories that have a place, beside the password',
  (seedFormat) => {
    const volume = { uid, glusterVolume: 'vm', bytes: 1 } as const;
    const volumes = [
      { ...volume, name: 'scenes', type: 'SharedFilesystem', mountPath: '/mnt/scenes' },
      { ...volume, name: 'assets', type: 'SharedFilesystem', mountPath: '/mnt/assets', readOnly: true },
      { ...volume, name: 'other', type: 'SharedFilesystem' },
      { ...volume, name: 'disk', type: 'Disk', grant: 1 },
    ] as const;
    const vendorData = (launch: MachineLaunch, secrets = {}) => {
      const { files } = seedOf(launch, secrets);
      const drive = files['openstack/latest/vendor_data.json'];
      return files['vendor-data'] ?? (drive && (JSON.parse(drive)['cloud-init'] as string));
    };
    const mounts = [
      ['scenes', '/mnt/scenes', 'virtiofs', 'defaults,nofail', '0', '0'],
      ['assets', '/mnt/assets', 'virtiofs', 'ro,nofail', '0', '0'],
    ];
    expect(parse(vendorData(machineLaunch(uid, { seedFormat, volumes }))!)).toEqual({ mounts });
    const both = vendorData(machineLaunch(uid, { seedFormat, volumes }), { adminPassword: 'x' });
    expect(parse(both!)).toEqual({ password: 'x', chpasswd: { expire: false }, mounts });
    expect(both).toMatch(/^#cloud-config\n/);
    expect(vendorData(machineLaunch(uid, { seedFormat, volumes: volumes.slice(2) }))).toBeUndefined();
  },
);
