/** Rules between objects, over HTTP: two servers on one store would answer alike, since what they look at is read from the store. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const base = `/apis/${apiVersion}`;
const merge = { 'content-type': 'application/merge-patch+json' };
const size = { resources: { cores: 1, memory: '1Gi' } };

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
  await post('Subnet', 'net', { cidr: '10.66.10.0/24', excludeIPs: ['10.66.10.2'] });
  await post('Image', 'debian', { source: { file: { path: 'debian.qcow2' } } });
});
afterAll(() => started[Symbol.asyncDispose]());

const plurals: Record<string, string> = {
  Subnet: 'subnets',
  Image: 'images',
  IPLease: 'ipleases',
  VirtualMachine: 'virtualmachines',
  VMPool: 'vmpools',
  ComputeFactory: 'computefactories',
  Volume: 'volumes',
};
const collection = (kind: string) => `${base}/namespaces/default/${plurals[kind]}`;

async function post(kind: string, name: string, spec: object, metadata: object = {}) {
  const body = { apiVersion, kind, metadata: { name, ...metadata }, spec };
  const { status, headers, json, text } = await started.request(collection(kind), { method: 'POST', body });
  return { status, warning: String(headers.warning ?? ''), message: String(json().message ?? ''), text };
}

async function patch(path: string, body: object) {
  const reply = await started.request(`${base}/${path}`, { method: 'PATCH', headers: merge, body });
  return { status: reply.status, warning: String(reply.headers.warning ?? ''), message: String(reply.json().message) };
}

const machine = (more: object = {}) => ({ image: { name: 'debian' }, ...size, ...more });
const at = (ip: string, subnet = 'net') => machine({ networks: [{ subnet, ip }] });

describe('references', () => {
  test('to what is there are silent', async () => {
    const spec = machine({ networks: [{ subnet: 'net' }] });
    expect(await post('VirtualMachine', 'fine', spec)).toMatchObject({ status: 201, warning: '' });
  });

  test.each([
    ['an image', { image: { name: 'later' } }, /spec.image: Image \\"later\\" does not exist/],
    ['a subnet', { networks: [{ subnet: 'net' }, { subnet: 'later' }] }, /spec.networks\[1\].subnet: Subnet/],
    ['an instance type', { resources: undefined, instanceType: 'later' }, /spec.instanceType: InstanceType/],
    ['a volume', { volumes: [{ name: 'd', volume: 'later' }] }, /spec.volumes\[0\].volume: Volume/],
    ['a cluster', { placement: { cluster: 'later' } }, /spec.placement.cluster: Cluster/],
  ])('to %s that is yet to come warn once, when they are written', async (_, more, warning) => {
    const name = `to-${Object.keys(more).at(-1)!.toLowerCase()}`;
    const made = await post('VirtualMachine', name, machine(more));
    expect(made).toMatchObject({ status: 201, warning: expect.stringMatching(warning) });
    const path = `namespaces/default/virtualmachines/${name}`;
    expect(await patch(path, { metadata: { labels: { a: 'b' } } })).toMatchObject({ status: 200, warning: '' });
  });

  test('of a template warn in its place; what a controller made from it does not', async () => {
    const template = { spec: { ...machine({ image: { name: 'later' } }) } };
    const pool = await post('VMPool', 'pool', { template });
    expect(pool.warning).toContain('spec.template.spec.image: Image');
    const owner = { apiVersion, kind: 'VMPool', name: 'pool', uid: 'u', controller: true };
    const made = await post('VirtualMachine', 'pool-0', template.spec, { ownerReferences: [owner] });
    expect(made).toMatchObject({ status: 201, warning: '' });
  });

  test('an image of a disk that ran warns of what its machines would share, unless it says that it is sealed', async () => {
    const source = { snapshot: { name: 's' } };
    expect((await post('Image', 'mine', { source })).warning).toMatch(/spec.sealed: it is Unknown.*machine-id/);
    expect((await post('Image', 'theirs', { source, osType: 'Windows' })).warning).toMatch(/Sysprep/);
    expect(await post('Image', 'sealed', { source, sealed: 'Yes' })).toMatchObject({ status: 201, warning: '' });
    expect((await post('Image', 'fetched', { source: { file: { path: 'a' } } })).warning).toBe('');
  });

  test('to images of other namespaces are refused, but for the public one', async () => {
    const refused = await post('VirtualMachine', 'thief', machine({ image: { name: 'x', namespace: 'other' } }));
    expect(refused).toMatchObject({ status: 422, message: expect.stringContaining('of cf-public can be used') });
    const spec = machine({ image: { name: 'x', namespace: 'cf-public' } });
    expect(await post('VirtualMachine', 'public', spec)).toMatchObject({ status: 201 });
  });

  test('to what is being deleted warn', async () => {
    await post('Image', 'going', { source: { file: { path: 'a' } } }, { finalizers: ['x.io/held'] });
    await started.request(`${collection('Image')}/going`, { method: 'DELETE' });
    const made = await post('VirtualMachine', 'late', machine({ image: { name: 'going' } }));
    expect(made.warning).toContain('is being deleted');
  });
});

describe('fixed addresses', () => {
  test.each([
    ['outside', '10.66.11.5'],
    ['the gateway', '10.66.10.1'],
    ['excluded', '10.66.10.2'],
    ['the broadcast address', '10.66.10.255'],
  ])('%s is refused', async (_, ip) => {
    const refused = await post('VirtualMachine', 'wrong', at(ip));
    expect(refused).toMatchObject({
      status: 422,
      message: expect.stringContaining('neither excluded nor the gateway'),
    });
  });

  test('held by another is refused and names the holder; in quarantine or reserved for this name is not', async () => {
    const held = { subnet: 'net', ip: '10.66.10.20', holderUID: 'u', holderName: 'web-0' };
    expect(await post('IPLease', 'net-10-66-10-20', held)).toMatchObject({ status: 201 });
    const refused = await post('VirtualMachine', 'second', at('10.66.10.20'));
    expect(refused).toMatchObject({ status: 422, message: expect.stringContaining('held by web-0, see IPLease') });
    await patch('namespaces/default/ipleases/net-10-66-10-20/status', { status: { phase: 'Quarantined' } });
    const waits = await post('VirtualMachine', 'second', at('10.66.10.20'));
    expect(waits).toMatchObject({ status: 201, warning: expect.stringContaining('in quarantine after web-0') });
    const reserved = { subnet: 'net', ip: '10.66.10.21', holderName: 'third', static: true };
    expect(await post('IPLease', 'net-10-66-10-21', reserved)).toMatchObject({ status: 201, warning: '' });
    expect(await post('VirtualMachine', 'third', at('10.66.10.21'))).toMatchObject({ status: 201 });
    expect(await post('VirtualMachine', 'fourth', at('10.66.10.21'))).toMatchObject({ status: 422 });
  });

  test('a lease is named by its address, and a reserved one is inside its subnet', async () => {
    const spec = { subnet: 'net', ip: '10.66.10.30', static: true };
    const misnamed = await post('IPLease', 'mine', spec);
    expect(misnamed).toMatchObject({ status: 422, message: expect.stringContaining('must be "net-10-66-10-30"') });
    const outside = await post('IPLease', 'net-10-66-10-1', { ...spec, ip: '10.66.10.1' });
    expect(outside).toMatchObject({ status: 422, message: expect.stringContaining('spec.ip') });
    const early = await post('IPLease', 'later-10-0-0-9', { subnet: 'later', ip: '10.0.0.9', static: true });
    expect(early).toMatchObject({ status: 201, warning: expect.stringContaining('does not exist') });
  });
});

describe('Subnet', () => {
  test('keeps its gateway while addresses are leased; overlapping overlays are fine', async () => {
    expect(await post('Subnet', 'twin', { cidr: '10.66.10.0/24' })).toMatchObject({ status: 201 });
    const gateway = (value: string) => patch('namespaces/default/subnets/twin', { spec: { gateway: value } });
    expect(await gateway('10.66.10.9')).toMatchObject({ status: 200 });
    await post('IPLease', 'twin-10-66-10-40', { subnet: 'twin', ip: '10.66.10.40', holderUID: 'u' });
    const refused = await gateway('10.66.10.8');
    expect(refused).toMatchObject({ status: 422, message: expect.stringMatching(/immutable while .*10.66.10.40/) });
    expect(await gateway('10.66.10.9')).toMatchObject({ status: 200 });
  });

  test('leaves room in its name for those of its leases', async () => {
    expect(await post('Subnet', 's'.repeat(238), { cidr: '10.0.0.0/24' })).toMatchObject({ status: 422 });
    expect(await post('Subnet', 's'.repeat(237), { cidr: '10.0.0.0/24' })).toMatchObject({ status: 201 });
  });
});

test('limits of a factory hold through /scale too, and the message names them', async () => {
  const capacity = { target: 10, min: 5, max: 20 };
  const spec = { capacity, shapes: [{ cores: 1, memory: '1Gi' }], template: { spec: { image: { name: 'debian' } } } };
  expect(await post('ComputeFactory', 'render', spec)).toMatchObject({ status: 201, warning: '' });
  const scale = (replicas: number) => patch('namespaces/default/computefactories/render/scale', { spec: { replicas } });
  expect(await scale(21)).toMatchObject({ status: 422, message: expect.stringContaining('max, which is 20') });
  expect(await scale(4)).toMatchObject({ status: 422, message: expect.stringContaining('min, which is 5') });
  expect(await scale(15)).toMatchObject({ status: 200 });
  const both = { clusters: ['a'], clusterSelector: {} };
  const refused = await post('ComputeFactory', 'both', { ...spec, placement: both });
  expect(refused).toMatchObject({ status: 422, message: expect.stringContaining('exclude each other') });
});

test('a rule that came later does not hold up what it would refuse: labels, finalizers, deletion', async () => {
  const key = 'computefactory.io/vmpools/default/old';
  const metadata = { name: 'old', namespace: 'default', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' };
  const spec = { template: { spec: machine({ image: { name: 'x', namespace: 'other' } }) } };
  const held = { ...metadata, finalizers: ['x.io/held'] };
  await started.store.create(key, Buffer.from(JSON.stringify({ apiVersion, kind: 'VMPool', metadata: held, spec })));
  const path = 'namespaces/default/vmpools/old';
  expect(await patch(path, { metadata: { finalizers: null } })).toMatchObject({ status: 200 });
  const elsewhere = { spec: { template: { spec: { image: { namespace: 'third' } } } } };
  expect(await patch(path, elsewhere)).toMatchObject({ status: 422 });
});

test('deletion of a collection leaves what is protected, takes the rest, honours limit, and says so', async () => {
  const label = { labels: { set: 'clear' } };
  await post('VirtualMachine', 'c-0', machine({ deleteProtection: true }), label);
  await post('VirtualMachine', 'c-1', machine(), label);
  await post('VirtualMachine', 'c-2', machine(), label);
  const query = `${collection('VirtualMachine')}?labelSelector=set%3Dclear`;
  const names = async () =>
    ((await started.request(query)).json().items as { metadata: { name: string } }[]).map(
      ({ metadata }) => metadata.name,
    );
  const first = await started.request(`${query}&limit=2`, { method: 'DELETE' });
  expect(first.status).toBe(403);
  expect(first.json().message).toContain('deleteProtection');
  expect(await names()).toEqual(['c-0', 'c-2']);
  expect((await started.request(query, { method: 'DELETE' })).status).toBe(403);
  expect(await names()).toEqual(['c-0']);
});

describe('disks of machines and of templates', () => {
  const disk = { name: 'data', size: '1Gi' };
  const volumes = [{ name: 'data', volume: 'v' }];

  test.each<[string, object, RegExp]>([
    ['without a size', { disks: [{ name: 'data' }] }, /data disk needs a size/],
    ['that are to stay', { disks: [{ ...disk, persistence: 'Persistent' }] }, /Volume of type Disk .* spec\.volumes/],
    ['on a Volume', { disks: [{ ...disk, volume: 'v' }] }, /Name the Volume in spec\.volumes/],
    ['that bear the name of a volume', { disks: [disk], volumes }, /cannot have the same name/],
    ['with a name that is no serial number', { disks: [{ ...disk, name: 'a'.repeat(21) }] }, /20/],
    ['with too few requests a second', { disks: [{ ...disk, limits: { iops: 9 } }] }, /greater than or equal to 10/],
    ['that weigh too little', { ioWeight: 99 }, /greater than or equal to 100/],
  ])('%s are refused', async (_, more, message) => {
    const template = { spec: machine(more) };
    const shapes = [{ cores: 1, memory: '1Gi' }];
    const { resources: _r, ...sizeless } = machine(more) as { readonly resources?: object };
    for (const refused of [
      await post('VirtualMachine', 'disks', machine(more)),
      await post('VMPool', 'disks', { template }),
      await post('ComputeFactory', 'disks', { capacity: { target: 1 }, shapes, template: { spec: sizeless } }),
    ])
      expect(refused).toMatchObject({ status: 422, message: expect.stringMatching(message) });
  });

  test('others are taken', async () => {
    const disks = [
      { name: 'root', limits: { iops: 10 } },
      { ...disk, persistence: 'Ephemeral' },
    ];
    const more = { disks, ioWeight: 100, volumes: [{ name: 'root', volume: 'v' }] };
    expect(await post('VirtualMachine', 'disks', machine(more))).toMatchObject({ status: 201 });
  });
});

describe('what of volumes is not built is refused with a sentence', () => {
  const volume = { cluster: 'lab', size: '1Gi', backend: { gluster: { volume: 'vm' } } };

  test.each<[string, object, RegExp]>([
    ['a directory for one', { accessMode: 'RWO' }, /a SharedFilesystem is RWX or ROX.*Use a Disk/],
    ['a disk that many write to', { type: 'Disk', accessMode: 'RWX' }, /a Disk is RWO or ROX.*Use a SharedFilesystem/],
    [
      'an empty disk to be read',
      { type: 'Disk', accessMode: 'ROX' },
      /made empty: give it sources.*set accessMode to ROX when/,
    ],
    ['a directory with sources', { sources: { image: { name: 'i' } } }, /sources are for type: Disk/],
    ['no source', { type: 'Disk', sources: {} }, /exactly one of image, snapshot, volume/],
    [
      'two sources',
      { type: 'Disk', sources: { image: { name: 'i' }, volume: { name: 'x' } } },
      /exactly one of image, snapshot, volume/,
    ],
    [
      'an image of somebody else',
      { type: 'Disk', sources: { image: { name: 'i', namespace: 'team-b' } } },
      /of this namespace and of cf-public/,
    ],
    ['a copy of itself', { type: 'Disk', sources: { volume: { name: 'v' } } }, /is this Volume itself/],
    ['SMB', { guestAccess: 'SMB' }, /only Virtiofs is built.*Windows guests/],
    ['a disk by virtiofs', { type: 'Disk', guestAccess: 'Virtiofs' }, /leave guestAccess out/],
  ])('%s', async (_, more, message) => {
    expect(await post('Volume', 'v', { ...volume, ...more })).toMatchObject({
      ...{ status: 422, message: expect.stringMatching(message) },
    });
  });

  test('one Volume twice in one machine', async () => {
    const volumes = ['a', 'b'].map((name) => ({ name, volume: 'v' }));
    expect(await post('VirtualMachine', 'twice', machine({ volumes }))).toMatchObject({
      ...{ status: 422, message: expect.stringContaining('each Volume once') },
    });
  });

  test('what is built is taken', async () => {
    const shared = { ...volume, accessMode: 'RWX', guestAccess: 'Virtiofs' };
    expect(await post('Volume', 'shared', shared)).toMatchObject({ status: 201 });
    expect(await post('Volume', 'disk', { ...volume, type: 'Disk', accessMode: 'RWO' })).toMatchObject({ status: 201 });
    expect(await post('Volume', 'assets', { ...volume, accessMode: 'ROX' })).toMatchObject({ status: 201 });
    const sources = { image: { name: 'i', namespace: 'cf-public' } };
    expect(await post('Volume', 'filled', { ...volume, type: 'Disk', accessMode: 'ROX', sources })).toMatchObject({
      status: 201,
    });
    expect(await patch('namespaces/default/volumes/filled', { spec: { sources: null } })).toMatchObject({
      status: 422,
    });
    const volumes = [{ name: 'a', volume: 'v', readOnly: true }];
    expect(await post('VirtualMachine', 'reader', machine({ volumes }))).toMatchObject({ status: 201 });
  });

  test.each([
    ['Disk', 'RWO', 'RWX'],
    ['SharedFilesystem', 'RWX', 'RWO'],
  ])('a %s of %s becomes one to be read, for good, and no other', async (type, before, other) => {
    const name = `turned-${type.toLowerCase()}`;
    await post('Volume', name, { ...volume, type });
    const turn = async (spec: object) => await patch(`namespaces/default/volumes/${name}`, { spec });
    expect(await turn({ accessMode: before })).toMatchObject({ status: 200 });
    expect(await turn({ accessMode: other })).toMatchObject({ status: 422 });
    expect(await turn({ accessMode: 'ROX' })).toMatchObject({ status: 200 });
    for (const accessMode of [before, null])
      expect(await turn({ accessMode })).toMatchObject({
        ...{ status: 422, message: expect.stringContaining('what is ROX stays that') },
      });
    expect(await turn({ size: '2Gi' })).toMatchObject({ status: type === 'Disk' ? 422 : 200 });
  });
});
