/** The same job over a real etcd that is killed for ten seconds in the middle. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { startEtcd } from '../etcd.ts';
import { whyNot } from '../requires.ts';
import { must, placeTinyImage, samples, startLocalCluster } from './local-cluster.ts';

const namespace = 'studio-a';
/** The length of the outage is the subject of the test. */
const outageMs = 10_000;

describe.skipIf(whyNot(['etcd']))('--store etcd://', { timeout: 300_000 }, () => {
  test('kill -9 of etcd for 10 s while machines are coming up loses nothing', async () => {
    await using etcd = await startEtcd();
    await using cluster = await startLocalCluster({ store: `etcd://${etcd.endpoint}` });
    placeTinyImage(cluster.dir);
    const files = ['00-namespace', '10-subnet', '20-image', '30-render'].flatMap((name) => [
      '-f',
      join(samples, `${name}.yaml`),
    ]);
    await must(cluster.factoryctl('apply', ...files));
    await expect
      .poll(async () => (await cluster.client.list(VirtualMachine, { namespace })).items.length, { timeout: 60_000 })
      .toBeGreaterThan(0);
    const before = (await cluster.client.list(VirtualMachine, { namespace })).items.map(({ metadata }) => metadata.uid);

    await etcd.kill9();
    await systemClock.sleep(outageMs);
    await etcd.restart();

    await must(cluster.factoryctl('wait', 'cf/render', '--for=condition=Ready', '-n', namespace, '--timeout=120s'));
    const after = (await cluster.client.list(VirtualMachine, { namespace })).items;
    expect(after.map(({ status }) => status?.instanceType?.cores ?? 0).reduce((a, b) => a + b, 0)).toBe(200);
    expect(after.map(({ metadata }) => metadata.uid)).toEqual(expect.arrayContaining(before));
  });
});
