/** More is asked for than there is room for: what fits runs, the rest says why, and hosts that come later are used. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ComputeFactory } from '#lib/api/generated/index.ts';
import { startLateAgents } from './late-agents.ts';
import { must, placeTinyImage, samples, startLocalCluster } from './local-cluster.ts';

const namespace = 'studio-a';

test('1,000 cores on hosts with room for 400, and hosts added later', { timeout: 300_000 }, async () => {
  await using cluster = await startLocalCluster({ hosts: 8, hostCpus: 50, hostMem: '128Gi' });
  placeTinyImage(cluster.dir);
  const factory = join(cluster.dir, 'big.yaml');
  writeFileSync(
    factory,
    JSON.stringify({
      apiVersion: 'computefactory.io/v1alpha1',
      kind: 'ComputeFactory',
      metadata: { name: 'big', namespace },
      spec: {
        capacity: { target: 1000 },
        shapes: [{ flexible: { minCores: 5, maxCores: 50, stepCores: 5, memoryPerCore: '2Gi' } }],
        template: { spec: { image: { name: 'tiny' }, networks: [{ subnet: 'studio-a' }] } },
      },
    }),
  );
  const files = ['00-namespace', '10-subnet', '20-image'].flatMap((name) => ['-f', join(samples, `${name}.yaml`)]);
  await must(cluster.factoryctl('apply', ...files, '-f', factory));
  const status = async () => (await cluster.client.get(ComputeFactory, { name: 'big', namespace })).status;

  await expect.poll(async () => (await status())?.capacity?.ready, { timeout: 120_000 }).toBe(400);
  await expect.poll(async () => (await status())?.unfulfilled?.units, { timeout: 60_000 }).toBe(600);
  await expect
    .poll(async () => (await status())?.unfulfilled?.message, { timeout: 60_000 })
    .toMatch(/local: .*8 hosts?.*8 short of cores/);
  const why = await cluster.factoryctl('why', 'cf', 'big', '-n', namespace);
  expect(why.code).toBe(1);
  expect(why.stdout).toMatch(/short of cores/);

  // Twelve hosts of 50 cores make room for the missing 600; nothing else is touched.
  await using _late = await startLateAgents(cluster, 12, 50);
  await expect.poll(async () => (await status())?.capacity?.ready, { timeout: 120_000 }).toBe(1000);
  await must(cluster.factoryctl('wait', 'cf/big', '--for=condition=Ready', '-n', namespace, '--timeout=60s'));
});
