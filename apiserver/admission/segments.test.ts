import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

const apiVersion = 'computefactory.io/v1alpha1';
let started: TestServer;
beforeAll(async () => {
  started = await startTestServer({ tokens: 'tenant-token,tenant,2,""' });
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'on-the-lan' } };
  const rules = [{ apiGroups: ['computefactory.io'], resources: ['segments'], verbs: ['use'] }];
  await post('/apis/rbac.authorization.k8s.io/v1/clusterroles', { ...role, rules });
  for (const [name, namespace] of [
    ['edit', 'default'],
    ['edit', 'trusted'],
    ['on-the-lan', 'trusted'],
  ]) {
    await post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    await post(`/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, {
      ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata: { name } },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'tenant' }],
    });
  }
});
afterAll(() => started[Symbol.asyncDispose]());

const post = async (path: string, body: object, token = started.token) =>
  await started.request(path, { method: 'POST', body, token });

async function subnet(name: string, spec: object, { namespace = 'default', token = started.token } = {}) {
  const body = { apiVersion, kind: 'Subnet', metadata: { name }, spec };
  const reply = await post(`/apis/${apiVersion}/namespaces/${namespace}/subnets`, body, token);
  return [reply.status, String(reply.json().message ?? '')] as const;
}

const bridge = (cidr: string, name = 'lan', clusters?: object[]) => ({
  ...{ cidr, type: 'Bridge', segment: { bridge: name, ...(clusters && { clusters }) } },
});
const vlan = (cidr: string, number: number) => ({ cidr, type: 'VLAN', segment: { parentNIC: 'eth1', vlan: number } });

test('a network of the site takes a right that tenants do not have of themselves', async () => {
  const token = 'tenant-token';
  const [status, message] = await subnet('a', bridge('10.1.0.0/24', 'yard'), { token });
  expect([status, message]).toEqual([403, expect.stringContaining('needs the verb "use" on resource "segments"')]);
  expect((await subnet('a', { cidr: '10.1.0.0/24' }, { token }))[0]).toBe(201);
  expect((await subnet('a', bridge('10.1.0.0/24', 'yard'), { token, namespace: 'trusted' }))[0]).toBe(201);
});

describe('two Subnets on one network of the site', () => {
  test('on a bridge have addresses beside each other', async () => {
    expect((await subnet('lan', bridge('10.2.0.0/24')))[0]).toBe(201);
    expect(await subnet('in-it', bridge('10.2.0.128/25'))).toEqual([
      422,
      expect.stringContaining('Subnet "lan" gives out addresses of 10.2.0.0/24 on this bridge'),
    ]);
    const elsewhere = await subnet('in-it', bridge('10.2.0.0/16'), { namespace: 'trusted' });
    expect(elsewhere).toEqual([422, expect.stringContaining('A Subnet of another namespace')]);
    expect(elsewhere[1]).not.toContain('"lan"');
    expect((await subnet('beside', bridge('10.2.1.0/24')))[0]).toBe(201);
    expect((await subnet('apart', bridge('10.2.0.0/24', 'other')))[0]).toBe(201);
    expect((await subnet('overlay', { cidr: '10.2.0.0/24' }))[0]).toBe(201);
  });

  test('are the same where a Cluster calls it so', async () => {
    const here = [{ cluster: 'lab-a', bridge: 'br0' }];
    expect((await subnet('named', bridge('10.3.0.0/24', 'mine', here)))[0]).toBe(201);
    expect((await subnet('clash', bridge('10.3.0.0/24', 'br0')))[0]).toBe(422);
    expect((await subnet('no-clash', bridge('10.3.0.0/24', 'br1', [{ cluster: 'lab-b', bridge: 'br0' }])))[0]).toBe(
      201,
    );
  });

  test('may have the same addresses where the site gives them', async () => {
    const outside = { ...bridge('10.6.0.0/24', 'hall'), ipam: 'External' };
    expect((await subnet('hall', outside))[0]).toBe(201);
    expect((await subnet('hall', outside, { namespace: 'trusted' }))[0]).toBe(201);
    expect((await subnet('hall-ours', bridge('10.6.0.0/28', 'hall')))[0]).toBe(201);
    expect((await subnet('hall-more', bridge('10.6.0.0/28', 'hall')))[0]).toBe(422);
    expect((await subnet('v9', { ...vlan('10.6.0.0/24', 9), ipam: 'External' }))[0]).toBe(201);
    expect((await subnet('v9-too', { ...vlan('10.6.0.0/24', 9), ipam: 'External' }))[0]).toBe(422);
  });

  test('on a VLAN are one too many', async () => {
    expect((await subnet('v5', vlan('10.4.0.0/24', 5)))[0]).toBe(201);
    expect(await subnet('v5-too', vlan('10.5.0.0/24', 5))).toEqual([422, expect.stringContaining('is on this VLAN')]);
    expect((await subnet('v6', vlan('10.4.0.0/24', 6)))[0]).toBe(201);
  });
});

test.each([{ segment: { vlan: 7 } }, { ipam: 'External' }])(
  'the network of a Subnet stays what it is: not %j',
  async (spec) => {
    const path = `/apis/${apiVersion}/namespaces/default/subnets/v6`;
    const reply = await started.request(path, {
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { spec },
    });
    expect([reply.status, reply.json().message]).toEqual([422, expect.stringContaining('create a new Subnet')]);
  },
);

test('an address cannot be kept or asked for where the site gives them', async () => {
  const outside = { ...bridge('10.7.0.0/24', 'yard-too'), ipam: 'External' };
  expect((await subnet('outside', outside))[0]).toBe(201);
  const words =
    'cannot be chosen here: Subnet "outside" has ipam: External, where the site\'s DHCP gives the addresses';
  const objects = [
    ['ipleases', 'IPLease', 'outside-10-7-0-9', { subnet: 'outside', ip: '10.7.0.9', holderName: 'web', static: true }],
    [
      'virtualmachines',
      'VirtualMachine',
      'web',
      {
        ...{ image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' } },
        networks: [{ subnet: 'outside', ip: '10.7.0.9' }],
      },
    ],
  ] as const;
  for (const [plural, kind, name, spec] of objects) {
    const reply = await post(`/apis/${apiVersion}/namespaces/default/${plural}`, {
      ...{ apiVersion, kind, metadata: { name }, spec },
    });
    expect([reply.status, reply.json().message]).toEqual([422, expect.stringContaining(words)]);
  }
});
