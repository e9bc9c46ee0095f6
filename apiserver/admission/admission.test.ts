import { describe, expect, test } from 'vitest';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { resourcesOf } from '#apiserver/resources/custom.ts';
import { applyDefaults } from '#apiserver/schema/defaults.ts';
import { projectCrds } from '#apiserver/testing/start.ts';
import { admissionCauses, refuseDelete } from './admission.ts';

const resources = projectCrds.flatMap((crd) => resourcesOf(crd));

function resourceOf(kind: string) {
  const resource = resources.find((known) => known.kind === kind);
  if (!resource) throw new Error(`No ${kind} in crds/`);
  return resource;
}

function object(kind: string, spec: object, name = 'x'): StoredObject {
  const draft = { apiVersion: 'computefactory.io/v1alpha1', kind, metadata: { name }, spec: structuredClone(spec) };
  applyDefaults(draft as ApiObject, resourceOf(kind).schema);
  return draft as unknown as StoredObject;
}

/** Field and message of every cause. */
function causes(kind: string, spec: object, old?: object, name?: string): string[] {
  const before = old && object(kind, old, name);
  return admissionCauses(object(kind, spec, name), before, resourceOf(kind)).map(
    ({ field, message }) => `${field}: ${message}`,
  );
}

const image = { name: 'debian' };
const size = { cores: 2, memory: '1Gi' };

describe('ComputeFactory', () => {
  const shape = { flexible: { maxCores: 48, memoryPerCore: '2Gi' } };
  const factory = (more: object = {}, shapes: object[] = [shape]) => ({
    capacity: { target: 10, ...more },
    shapes,
    template: { spec: { image } },
  });

  test('a good one is accepted', () => {
    const shapes = [shape, { instanceType: 'big' }, { cores: 4, memory: '8Gi' }];
    expect(causes('ComputeFactory', factory({ min: 1, max: 20 }, shapes))).toEqual([]);
  });

  test('target stays between min and max, and the limit is named', () => {
    expect(causes('ComputeFactory', factory({ max: 9 }))[0]).toMatch(/^spec.capacity.target: .*max, which is 9/);
    expect(causes('ComputeFactory', factory({ min: 11 }))[0]).toMatch(/^spec.capacity.target: .*min, which is 11/);
    expect(causes('ComputeFactory', factory({ min: 11, max: 10 }))[0]).toMatch(/^spec.capacity.min/);
  });

  test.each([
    ['none', {}, /none is set/],
    ['two', { instanceType: 'a', flexible: shape.flexible }, /instanceType and flexible are set/],
    ['cores without memory', { cores: 4 }, /give both/],
    ['least above most', { flexible: { minCores: 9, maxCores: 8, memoryPerCore: '1Gi' } }, /minCores/],
    ['too little memory', { cores: 1, memory: '32Mi' }, /at least 64Mi/],
  ])('a shape with %s is refused', (_, bad, message) => {
    expect(causes('ComputeFactory', factory({}, [bad])).join('; ')).toMatch(message);
  });

  test('shapes are unique', () => {
    expect(causes('ComputeFactory', factory({}, [shape, { ...shape, priority: 5 }]))[0]).toMatch(
      /^spec.shapes\[1\]: Duplicate/,
    );
  });

  test('the unit stays, and the message says the way out', () => {
    const refused = causes('ComputeFactory', factory({ unit: 'Instances' }), factory());
    expect(refused[0]).toMatch(/^spec.capacity.unit: .*immutable \(it is "Cores"\); create a new ComputeFactory/);
  });
});

describe('machines', () => {
  test.each([
    ['neither', {}, /none is set/],
    ['both', { instanceType: 'a', resources: size }, /instanceType and resources are set/],
    ['too little memory', { resources: { cores: 1, memory: '63Mi' } }, /at least 64Mi/],
    [
      'a pattern that cannot be read',
      { resources: size, placement: { constraints: [{ key: 'rack', operator: 'LIKE', value: '(' }] } },
      /spec.placement.constraints\[0\].value: .*regular expression/,
    ],
    [
      'a number that is none',
      {
        resources: size,
        placement: { hostSelector: { matchExpressions: [{ key: 'ram', operator: 'Gt', values: ['x'] }] } },
      },
      /spec.placement.hostSelector.matchExpressions\[0\].values: .*Gt takes one number/,
    ],
    ['neither an image nor a family', { resources: size, image: {} }, /^spec.image: .*name, family.*none is set/],
    ['an image and a family', { resources: size, image: { ...image, family: 'f' } }, /name and family are set/],
    ['a family of others', { resources: size, image: { family: 'f', namespace: 'b' } }, /^spec.image.namespace/],
    ['no address', { resources: size, networks: [{ subnet: 's', ip: '10.0.0.300' }] }, /networks\[0\].ip/],
  ])('a VirtualMachine with %s is refused', (_, spec, message) => {
    expect(causes('VirtualMachine', { image, ...spec }).join('; ')).toMatch(message);
  });

  test('a pool is checked by its template, and stays in its cluster', () => {
    const pool = (cluster?: string) => ({
      ...(cluster ? { cluster } : {}),
      template: { spec: { image, resources: size } },
    });
    expect(causes('VMPool', pool('east'))).toEqual([]);
    expect(causes('VMPool', { template: { spec: { image } } })[0]).toMatch(/^spec.template.spec: .*none is set/);
    expect(causes('VMPool', pool(), undefined, 'p'.repeat(246))).toEqual([]);
    expect(causes('VMPool', pool(), undefined, 'p'.repeat(247))[0]).toMatch(/^metadata.name: Too long/);
    expect(causes('VMPool', pool('west'), pool('east'))[0]).toMatch(/^spec.cluster/);
  });

  test.each([
    [{ selfFenceAfter: '4m' }, undefined],
    [{ selfFenceAfter: '1m', lostAfter: '2m' }, undefined],
    [{ selfFenceAfter: '4m1s' }, /selfFenceAfter: .*at least 1m less than lostAfter, which is 5m/],
    [{ selfFenceAfter: '2m', lostAfter: '2m30s' }, /less than lostAfter, which is 2m30s/],
    [{ selfFenceAfter: '59s' }, /at least 1m/],
  ])('disconnect %j, of a machine and of a template', (disconnect, message) => {
    const machine = { image, resources: size, disconnect };
    const capacity = { target: 1 };
    const shapes = [{ cores: 1, memory: '1Gi' }];
    for (const said of [
      causes('VirtualMachine', machine),
      causes('VMPool', { template: { spec: machine } }),
      causes('ComputeFactory', { capacity, shapes, template: { spec: { image, disconnect } } }),
    ])
      if (message === undefined) expect(said).toEqual([]);
      else expect(said.join('; ')).toMatch(message);
  });

  test.each([
    [{ name: 'data', size: '1Mi', limits: { throughput: '1Mi' } }, undefined],
    [{ name: 'data', size: '16Ti', limits: { throughput: '1Ti', iops: 10 } }, undefined],
    [{ name: 'data', size: '1023Ki' }, /disks\[0\].size: .*from 1Mi to 16Ti/],
    [{ name: 'data', size: '17Ti' }, /disks\[0\].size: .*from 1Mi to 16Ti/],
    [{ name: 'root', limits: { throughput: '100k' } }, /disks\[0\].limits.throughput: .*from 1Mi to 1Ti/],
    [{ name: 'root', limits: { throughput: '2Ti' } }, /disks\[0\].limits.throughput/],
  ])('disk %j, of a machine and of a template', (disk, message) => {
    const disks = [disk];
    for (const said of [
      causes('VirtualMachine', { image, resources: size, disks }),
      causes('VMPool', { template: { spec: { image, resources: size, disks } } }),
      causes('ComputeFactory', {
        capacity: { target: 1 },
        shapes: [{ cores: 1, memory: '1Gi' }],
        template: { spec: { image, disks } },
      }),
    ])
      if (message === undefined) expect(said).toEqual([]);
      else expect(said.join('; ')).toMatch(message);
  });

  test('a protected machine is not deleted by name', () => {
    const protect = (deleteProtection: boolean) =>
      refuseDelete(
        object('VirtualMachine', { image, resources: size, deleteProtection }),
        resourceOf('VirtualMachine'),
      );
    expect(protect(true)).toContain('set that to false first');
    expect(protect(false)).toBeUndefined();
  });

  test('instance types and operations do not change', () => {
    expect(causes('InstanceType', { ...size, cores: 3 }, size)[0]).toMatch(/^spec.cores: .*create a new InstanceType/);
    const operation = (type: string) => ({ vm: 'a', type });
    expect(causes('VMOperation', operation('Stop'), operation('Start'))[0]).toMatch(
      /^spec: .*create a new VMOperation/,
    );
  });
});

describe('Subnet', () => {
  const cidr = '10.66.10.0/24';

  test.each([
    ['host bits in the network', { cidr: '10.66.10.7/24' }, /write 10.66.10.0\/24/],
    ['a network that is too small', { cidr: '10.66.10.0/31' }, /\/8 to \/30/],
    ['a gateway elsewhere', { cidr, gateway: '10.66.11.1' }, /^spec.gateway/],
    ['the network address as gateway', { cidr, gateway: '10.66.10.0' }, /^spec.gateway/],
    ['the broadcast address as gateway', { cidr, gateway: '10.66.10.255' }, /^spec.gateway/],
    ['exclusions elsewhere', { cidr, excludeIPs: ['10.66.10.1', '10.66.11.1..10.66.11.9'] }, /^spec.excludeIPs\[1\]/],
  ])('%s is refused', (_, spec, message) => {
    expect(causes('Subnet', spec).join('; ')).toMatch(message);
  });

  test('good ones are accepted, and keep their network', () => {
    expect(causes('Subnet', { cidr, gateway: 'none' })).toEqual([]);
    expect(causes('Subnet', { cidr, gateway: '10.66.10.254', excludeIPs: ['10.66.10.2..10.66.10.9'] })).toEqual([]);
    expect(causes('Subnet', { cidr: '10.67.0.0/24' }, { cidr })[0]).toMatch(/^spec.cidr: .*create a new Subnet/);
  });
});

describe('Volume', () => {
  const volume = { cluster: 'lab', size: '10Gi', backend: { gluster: { volume: 'vm' } } };

  test('stays what it is, but for what becomes of its data', () => {
    expect(causes('Volume', volume)).toEqual([]);
    expect(causes('Volume', { ...volume, reclaimPolicy: 'Delete' }, volume)).toEqual([]);
    const changes = { cluster: 'annex', type: 'Disk', backend: { gluster: { volume: 'other' } } };
    for (const [field, value] of Object.entries(changes))
      expect(causes('Volume', { ...volume, [field]: value }, volume).join()).toMatch(
        new RegExp(`^spec.${field}: .*field is immutable.*create a new Volume`),
      );
  });

  test('may grow, and not shrink', () => {
    const sized = (size: string) => ({ ...volume, size });
    expect(causes('Volume', sized('20Gi'), sized('10Gi'))).toEqual([]);
    expect(causes('Volume', sized('10240Mi'), sized('10Gi'))).toEqual([]);
    expect(causes('Volume', sized('9Gi'), sized('10Gi')).join()).toMatch(/^spec.size: .*may only grow \(it is 10Gi\)/);
  });

  test('has a size that can be', () => {
    for (const size of ['1', '2000Ti'])
      expect(causes('Volume', { ...volume, size }).join()).toMatch(/from 1Mi to 1024Ti/);
  });
});

describe('Image and Cluster', () => {
  const http = { http: { url: 'https://example.test/a' } };

  test.each([
    ['no source', {}],
    ['two sources', { ...http, file: { path: 'a' } }],
    ['an upload beside another source', { ...http, upload: {} }],
    ['a snapshot beside another source', { ...http, snapshot: { name: 's' } }],
    ['an absolute path', { file: { path: '/etc/passwd' } }],
    ['a path that climbs', { file: { path: 'a/../../b' } }],
  ])('an image with %s is refused', (_, source) => {
    expect(causes('Image', { source })).toHaveLength(1);
  });

  test.each<[string, string, object, RegExp]>([
    ['no target', 'VMRestore', { snapshot: 's', target: {} }, /exactly one of vm, newVM.*none/],
    ['two targets', 'VMRestore', { snapshot: 's', target: { vm: 'a', newVM: 'b' } }, /vm and newVM are set/],
    [
      'an old identity for a new machine',
      'VMRestore',
      { snapshot: 's', target: { newVM: 'b' }, identity: 'Keep' },
      /must be New/,
    ],
    ['new addresses in place', 'VMRestore', { snapshot: 's', target: { vm: 'b' }, networks: 'New' }, /must be Keep/],
    ['memory', 'VMSnapshot', { vm: 'a', includeMemory: true }, /memory cannot be kept/],
    ['force', 'VMOperation', { vm: 'a', type: 'Migrate', force: true }, /Migrate cannot be forced/],
    ['no new name', 'VMOperation', { vm: 'a', type: 'Clone' }, /Clone needs the name/],
    ['a new name', 'VMOperation', { vm: 'a', type: 'Stop', target: 'b' }, /Stop has no target/],
  ])('%s for a %s is refused', (_, kind, spec, message) => {
    expect(causes(kind, spec).join('; ')).toMatch(message);
  });

  test('what a snapshot is of stays; what becomes of its data may change', () => {
    const spec = { vm: 'a', deletionPolicy: 'Delete' };
    expect(causes('VMSnapshot', { ...spec, deletionPolicy: 'Retain' }, spec)).toEqual([]);
    expect(causes('VMSnapshot', { ...spec, vm: 'b' }, spec)[0]).toMatch(/create a new VMSnapshot/);
    const restore = { snapshot: 's', target: { newVM: 'b' }, identity: 'New' };
    expect(causes('VMRestore', restore)).toEqual([]);
    expect(causes('VMRestore', { ...restore, snapshot: 't' }, restore)[0]).toMatch(/create a new VMRestore/);
  });

  test('the source of an image stays', () => {
    expect(causes('Image', { source: http })).toEqual([]);
    const refused = causes('Image', { source: { file: { path: 'a' } } }, { source: http });
    expect(refused[0]).toMatch(/^spec.source: .*create one under another name/);
  });

  test('a host is declared dead by the boot that it has reported, and no other', () => {
    const host = (declared: string, bootID?: string) => ({
      ...object('Host', {}),
      metadata: { name: 'x', annotations: { 'computefactory.io/confirmed-dead': declared } },
      status: bootID === undefined ? {} : { bootID },
    });
    const refused = (declared: string, bootID?: string, old?: StoredObject) =>
      admissionCauses(host(declared, bootID) as ApiObject, old, resourceOf('Host')).map(({ message }) => message);
    expect(refused('one', 'one')).toEqual([]);
    expect(refused('one', 'two')[0]).toMatch(/status.bootID; it is two/);
    expect(refused('one')[0]).toMatch(/has not reported one yet/);
    expect(refused('one', 'two', host('one', 'two') as unknown as StoredObject)).toEqual([]);
  });

  test('the name of a cluster can be part of host names', () => {
    const spec = { masters: ['http://m:5050'] };
    expect(causes('Cluster', spec, undefined, 'east')).toEqual([]);
    expect(causes('Cluster', spec, undefined, 'east.one')).toHaveLength(1);
  });
});

describe('Host', () => {
  const host = (pendingCleanup: object[], dead?: string) => {
    const stored = object('Host', { cluster: 'lab', hostname: 'h1' });
    const annotations = dead === undefined ? {} : { 'computefactory.io/confirmed-dead': dead };
    const status = { bootID: 'boot-1', pendingCleanup };
    const whole = { ...stored, metadata: { ...stored.metadata, annotations }, status } as unknown as StoredObject;
    return refuseDelete(whole, resourceOf('Host'));
  };
  const left = { uid: 'u', namespace: 'studio-a', name: 'solo', attempt: 1, bootID: 'boot-1', since: '' };

  test('is not deleted while machines that were let go may run there, unless somebody vouches that they do not', () => {
    expect(host([])).toBeUndefined();
    expect(host([left])).toMatch(/1 deleted machines may run there \(studio-a\/solo\)/);
    expect(host([left], 'boot-1')).toBeUndefined();
    expect(host([{ ...left, bootID: 'boot-0' }], 'boot-1')).toBeDefined();
  });
});
