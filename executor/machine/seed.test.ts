import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { machineLaunch } from '../testing/world.ts';
import { seedFiles } from './seed.ts';

const uid = randomUUID();

test('seedFiles() gives cloud-init the identity, the keys and the network', () => {
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
});

test('seedFiles() keeps user data as it is', () => {
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
