import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { MachineLaunch } from '#lib/api/launch.ts';
import { decodeData, encodeData } from '#mesos/bytes.ts';
import { startCluster } from '#mesos/local/testing/cluster.ts';
import { TestScheduler } from '#mesos/local/testing/scheduler.ts';
import type { Offer, TaskStatus } from '#mesos/types.ts';
import { machineLaunch, openWorld } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 20_000, interval: 20 }));

const scalar = (name: string, value: number) =>
  ({ name, type: 'SCALAR', scalar: { value }, allocation_info: { role: 'vm' } }) as const;

function accept(offer: Offer, launch: MachineLaunch, frameworkId: string): object {
  const value = join(import.meta.dirname, '..', 'bin', 'factory-executor');
  const executor = {
    type: 'CUSTOM',
    executor_id: { value: 'cf-executor' },
    framework_id: { value: frameworkId },
    command: { shell: false, value, arguments: ['factory-executor'] },
    resources: [scalar('cpus', 0.1), scalar('mem', 64)],
  };
  const task = {
    name: launch.name,
    task_id: { value: launch.taskId },
    agent_id: offer.agent_id,
    resources: [scalar('cpus', 1), scalar('mem', 64)],
    executor,
    data: encodeData(launch),
  };
  const operations = [{ type: 'LAUNCH', launch: { task_infos: [task] } }];
  return { type: 'ACCEPT', accept: { offer_ids: [offer.id], operations, filters: { refuse_seconds: 0 } } };
}

test('a machine is launched, reported and killed through a Mesos master and agent', async () => {
  await using world = await openWorld();
  await using cluster = await startCluster({
    hosts: ['host-1'],
    agent: { executorEnvironment: { CF_EXECUTOR_CONFIG: world.configFile, PATH: process.env.PATH ?? '' } },
  });
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const offer = await vi.waitFor(() => {
    expect(scheduler.offers.length).toBeGreaterThan(0);
    return scheduler.offers[0]!;
  }, 10_000);
  const launch = machineLaunch(randomUUID());
  await scheduler.call(accept(offer, launch, scheduler.frameworkId!));

  const updates = (): TaskStatus[] =>
    scheduler.events.flatMap((event) => (event.type === 'UPDATE' ? [event.update.status] : []));
  await until(() => expect(updates().map(({ state }) => state)).toEqual(['TASK_STARTING', 'TASK_RUNNING']));
  const beats = () =>
    scheduler.events.flatMap((event) => (event.type === 'MESSAGE' ? [decodeData(event.message.data)] : []));
  await until(() =>
    expect(beats()).toContainEqual(
      expect.objectContaining({
        hostname: 'host-1',
        machines: [expect.objectContaining({ uid: launch.uid, phase: 'Running' })],
      }),
    ),
  );
  await scheduler.call({ type: 'KILL', kill: { task_id: { value: launch.taskId }, agent_id: offer.agent_id } });
  await until(() => expect(updates().at(-1)).toMatchObject({ state: 'TASK_KILLED', source: 'SOURCE_EXECUTOR' }));
  expect(decodeData(updates().at(-1)!.data!)).toMatchObject({ domainAbsent: true });
  const shutdown = { executor_id: { value: 'cf-executor' }, agent_id: offer.agent_id };
  await scheduler.call({ type: 'SHUTDOWN', shutdown });
  await until(() => expect(scheduler.events.map(({ type }) => type)).toContain('FAILURE'));
});
