/**
 * Two clusters with a local Mesos, agents and executors each, and the real controllers over an API in memory: capacity moves when one
 * cluster is away, nothing there is touched, and nothing is there twice when it is back.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { computeFactoryController } from '#controllers/computefactory/controller.ts';
import { imageController } from '#controllers/image/controller.ts';
import { runControllers } from '#controllers/main.ts';
import { type Lab, lab, log } from '#controllers/scheduler/testing/local-lab.ts';
import { virtualMachineController } from '#controllers/virtualmachine/controller.ts';
import { vmPoolController } from '#controllers/vmpool/controller.ts';
import { ComputeFactory, Image, VirtualMachine } from '#lib/api/generated/index.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import { applyDefaults } from './crd-defaults.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';
const soon = { timeout: 60_000 };

function control(client: MemoryApi): AsyncDisposable {
  const stop = new AbortController();
  const factories = [computeFactoryController, vmPoolController, virtualMachineController, imageController];
  const running = runControllers({ client, log, factories, identity: 'one' }, stop.signal);
  running.catch((error: unknown) => expect.fail(`The controllers ended: ${String(error)}`));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

test('capacity moves from a cluster that is away, and what is too many goes when it is back', {
  timeout: 240_000,
}, async () => {
  const client = memoryClient({ admit: applyDefaults });
  const clusters: Readonly<Record<string, Lab>> = {
    east: await lab(['e1', 'e2'], { client, cluster: 'east' }),
    west: await lab(['w1', 'w2'], { client, cluster: 'west' }),
  };
  for (const { imports } of Object.values(clusters)) writeFileSync(join(imports, 'disk.raw'), Buffer.alloc(1 << 20, 7));
  await using _controllers = control(client);
  await client.create(Image, {
    ...{ apiVersion, kind: 'Image', metadata: { namespace, name: 'tiny' } },
    spec: { source: { file: { path: 'disk.raw' } }, format: 'raw' } as never,
  });
  await client.create(ComputeFactory, {
    ...{ apiVersion, kind: 'ComputeFactory', metadata: { namespace, name: 'render' } },
    spec: {
      capacity: { target: 12 },
      shiftAfter: '2s',
      shapes: [{ cores: 4, memory: '1Gi' }],
      template: { spec: { image: { name: 'tiny' } } },
    } as never,
  });
  const capacity = async () => (await client.get(ComputeFactory, { namespace, name: 'render' })).status?.capacity;
  const machines = async () => (await client.list(VirtualMachine, { namespace })).items;
  const on = async (cluster: string) =>
    (await machines()).filter(({ status }) => status?.attempt?.cluster === cluster).map(({ metadata }) => metadata.uid);

  await expect.poll(async () => (await capacity())?.ready, soon).toBe(12);
  const [first] = await machines();
  const home = first!.status!.attempt!.cluster!;
  const other = home === 'east' ? 'west' : 'east';
  const before = await on(home);
  expect(before).toHaveLength(3);

  await clusters[home]!.stopMaster();
  await expect.poll(async () => (await on(other)).length, soon).toBe(3);
  await expect.poll(capacity, soon).toMatchObject({ planned: 12, ready: 12, unreachable: 12, committed: 24 });
  expect(await on(home)).toEqual(before);

  await clusters[home]!.startMaster();
  await expect.poll(capacity, soon).toMatchObject({ planned: 12, ready: 12, unreachable: 0, committed: 12 });
  expect(await machines()).toHaveLength(3);
  // Nobody was launched anew: an attempt before the present one, if there is one, was never sent to Mesos.
  for (const { status } of await machines()) {
    for (const attempt of status?.attempts ?? []) expect(attempt).toMatchObject({ proof: 'NeverSent' });
    expect(status?.attempt).toMatchObject({ adopted: false });
  }
});
