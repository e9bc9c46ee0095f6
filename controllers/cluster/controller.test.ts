import { expect, test } from 'vitest';
import { Lease } from '#lib/api/core.ts';
import { Cluster } from '#lib/api/generated/index.ts';
import { clusterServerLease, systemNamespace } from '#lib/api/names.ts';
import { settles } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { clusterController } from './controller.ts';

const at = { name: clusterServerLease('lab'), namespace: systemNamespace };

async function world(): Promise<World> {
  const made = story([clusterController]);
  const cluster = await made.api.create(Cluster, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'Cluster', metadata: { name: 'lab' } },
    spec: { masters: ['http://m:5050'] } as never,
  });
  const lastTransitionTime = new Date(made.clock.now()).toISOString();
  const condition = (type: string, status: 'True' | 'False') => ({
    ...{ type, status, reason: 'X', message: '', lastTransitionTime },
  });
  await made.api.updateStatus(Cluster, {
    ...cluster,
    status: { displayStatus: 'Ready', conditions: [condition('Connected', 'True'), condition('Ready', 'True')] },
  });
  await made.api.create(Lease, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: at });
  return made;
}

async function renew({ api, clock }: World): Promise<void> {
  await api.patch(Lease, at, { spec: { renewTime: new Date(clock.now()).toISOString() } });
}

async function pass(made: World, seconds: number, each: () => Promise<void> = async () => {}): Promise<void> {
  for (let second = 0; second < seconds; second += 10) {
    await each();
    await made.reconcileAll();
    await made.clock.advance(10_000);
  }
  await made.reconcileAll();
}

const status = async ({ api }: World) => (await api.get(Cluster, { name: 'lab' })).status;

test('a cluster whose server renews its lease is left alone', async () => {
  const made = await world();
  await pass(made, 300, () => renew(made));
  expect(await status(made)).toMatchObject({ displayStatus: 'Ready' });
});

test('a cluster whose server is silent for 40 s is away, and nothing more is written', async () => {
  const made = await world();
  await pass(made, 60);
  expect(await status(made)).toMatchObject({
    displayStatus: 'Silent',
    conditions: [
      { type: 'Connected', status: 'False', reason: 'ClusterServerSilent' },
      { type: 'Ready', status: 'False', reason: 'ClusterServerSilent' },
    ],
  });
  await settles(made);
});

test('what was said before of being away stays as it is', async () => {
  const made = await world();
  const cluster = await made.api.get(Cluster, { name: 'lab' });
  const conditions = cluster.status!.conditions!.map((one) => ({
    ...one,
    status: 'False' as const,
    reason: 'Disconnected',
  }));
  await made.api.updateStatus(Cluster, { ...cluster, status: { conditions } });
  await pass(made, 60);
  expect((await status(made))?.conditions).toEqual(conditions);
});
