import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster } from '#lib/api/generated/cluster.ts';
import { type ApiWorld, apiWorld } from './api-world.ts';

let world: ApiWorld;
beforeAll(async () => {
  world = await apiWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const masters = ['http://10.0.0.1:5050'];
const zookeeper = 'zk://10.0.0.1:2181,10.0.0.2:2181/mesos';

function create(name: string, spec: object): Promise<unknown> {
  const { group, version, kind } = Cluster;
  return world.client.create(Cluster, { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec } as never);
}

test('a Cluster names its masters or its ZooKeeper', async () => {
  await create('by-url', { masters });
  await create('by-zookeeper', { zookeeper });
});

test.each([
  ['both', { masters, zookeeper }, 'either masters or zookeeper'],
  ['neither', {}, 'either masters or zookeeper'],
  ['no-path', { zookeeper: 'zk://10.0.0.1:2181' }, 'spec.zookeeper'],
  ['with-password', { zookeeper: 'zk://jo:s3cret@10.0.0.1:2181/mesos' }, 'spec.zookeeper'],
])('a Cluster with %s is refused', async (name, spec, words) => {
  await expect(create(name, spec)).rejects.toThrow(words);
});
