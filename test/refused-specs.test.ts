/** Specs that the kinds' own rules refuse, in the words that users read. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

const folder = '/apis/computefactory.io/v1alpha1/namespaces/default';
let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

const create = async (plural: string, kind: string, spec: object) =>
  await started.request(`${folder}/${plural}?dryRun=All`, {
    method: 'POST',
    body: { apiVersion: 'computefactory.io/v1alpha1', kind, metadata: { name: 'it' }, spec },
  });

const onSite = { cidr: '10.0.0.0/24', type: 'Bridge', segment: { bridge: 'b' }, ipam: 'External' };
const disk = { cluster: 'lab', type: 'Disk', size: '1Gi', backend: { gluster: { volume: 'vm' } } };
const machine = { image: { name: 'tiny' }, resources: { cores: 1, memory: '128Mi' } };

test.each([
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', gateway: 'none', egress: 'NAT' }, 'egress: NAT needs a gateway'],
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', egress: 'Nat' }, 'spec.egress'],
  [
    'subnets',
    'Subnet',
    { cidr: '10.0.0.0/24', isolation: 'Tenant' },
    'put machines that are to reach each other into one',
  ],
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', segment: { bridge: 'b' } }, 'segment is for type VLAN and Bridge'],
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', type: 'Bridge' }, 'type: Bridge needs segment.bridge'],
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', type: 'VLAN', segment: { bridge: 'b' } }, 'type: VLAN needs'],
  [
    'subnets',
    'Subnet',
    { cidr: '10.0.0.0/24', type: 'Bridge', segment: { bridge: 'b', vlan: 5 } },
    'segment has either',
  ],
  [
    'subnets',
    'Subnet',
    { cidr: '10.0.0.0/24', type: 'Bridge', segment: { bridge: 'b', clusters: [{ cluster: 'c', vlan: 5 }] } },
    'segment.clusters: each has what the type needs',
  ],
  [
    'subnets',
    'Subnet',
    { cidr: '10.0.0.0/24', type: 'Bridge', segment: { bridge: 'b' }, egress: 'NAT' },
    'its own router is the way out',
  ],
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', ipam: 'External' }, 'ipam: External is for type VLAN and Bridge'],
  ['subnets', 'Subnet', { ...onSite, gateway: '10.0.0.1' }, 'gateway and excludeIPs are settings of the site'],
  ['subnets', 'Subnet', { ...onSite, gateway: 'none' }, 'gateway and excludeIPs are settings of the site'],
  ['subnets', 'Subnet', { ...onSite, excludeIPs: ['10.0.0.9'] }, 'gateway and excludeIPs are settings of the site'],
  ['subnets', 'Subnet', { ...onSite, egress: 'NAT' }, 'its own router is the way out'],
  ['subnets', 'Subnet', { ...onSite, dhcp: { leaseTime: '1h' } }, 'DHCP says what guests are told, leave dhcp out'],
  ['subnets', 'Subnet', { ...onSite, dhcp: { dns: ['9.9.9.9'] } }, 'DHCP says what guests are told, leave dhcp out'],
  ['subnets', 'Subnet', { ...onSite, dhcp: { domain: 'a.example' } }, 'DHCP says what guests are told, leave dhcp out'],
  ['subnets', 'Subnet', { ...onSite, releaseCooldown: '1h' }, 'leave releaseCooldown out'],
  ['subnets', 'Subnet', { ...onSite, type: 'NAT' }, 'spec.type'],
  ['volumes', 'Volume', { ...disk, accessMode: 'RWX' }, 'Use a SharedFilesystem for what many write to'],
  ['volumes', 'Volume', { ...disk, accessMode: 'ROX' }, 'give it sources, or make it RWO'],
  ['volumes', 'Volume', { ...disk, type: 'SharedFilesystem', accessMode: 'RWO' }, 'Use a Disk for that'],
  ['volumes', 'Volume', { ...disk, sources: {} }, 'exactly one of image, snapshot, volume'],
  [
    'virtualmachines',
    'VirtualMachine',
    { ...machine, disconnect: { lostAfter: '5 minutes' } },
    'spec.disconnect.lostAfter',
  ],
  ['virtualmachines', 'VirtualMachine', { ...machine, disconnect: { onReconnect: 'KeepBoth' } }, 'KeepReplacement'],
  [
    'virtualmachines',
    'VirtualMachine',
    { ...machine, probes: { startup: { http: { port: 80, path: '/ HTTP/1.1' } } } },
    'spec.probes.startup.http.path',
  ],
])('%s: a %s of %j', async (plural, kind, spec, words) => {
  const reply = await create(plural, kind, spec);
  expect([reply.status, reply.json().message]).toEqual([422, expect.stringContaining(words)]);
});

test.each([{}, { guestAgent: false }, { guestAgent: true, tcp: { port: 22 } }])('a probe of %j', async (liveness) => {
  const reply = await create('virtualmachines', 'VirtualMachine', { ...machine, probes: { liveness } });
  const words = 'Give one of guestAgent: true, exec, tcp and http';
  expect([reply.status, reply.json().message]).toEqual([422, expect.stringContaining(words)]);
});

test.each([
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', gateway: 'none' }],
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', egress: 'NAT', isolation: 'Full' }],
  ['subnets', 'Subnet', { cidr: '10.0.0.0/24', type: 'VLAN', segment: { parentNIC: 'eth1', vlan: 5 } }],
  ['subnets', 'Subnet', { ...onSite, mtu: 1500 }],
  ['subnets', 'Subnet', { ...onSite, type: 'VLAN', segment: { parentNIC: 'eth1', vlan: 5 } }],
  ['volumes', 'Volume', { ...disk, accessMode: 'ROX', sources: { snapshot: { name: 'before' } } }],
  ['volumes', 'Volume', { ...disk, type: 'SharedFilesystem', accessMode: 'ROX' }],
  ['virtualmachines', 'VirtualMachine', { ...machine, disconnect: { lostAfter: '1h', replace: false } }],
  [
    'virtualmachines',
    'VirtualMachine',
    { ...machine, probes: { readiness: { http: { port: 80 } }, liveness: { tcp: { port: 22 } } } },
  ],
])('%s: no objection to a %s of %j', async (plural, kind, spec) => {
  expect((await create(plural, kind, spec)).status).toBe(201);
});
