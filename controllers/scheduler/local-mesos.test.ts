/** The cluster server with the local Mesos and real executor processes (imitation hypervisor): what fake-mesos.ts pretends, for real. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { conditionOf } from '#lib/api/conditions.ts';
import { Host } from '#lib/api/generated/host.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { VMSnapshot } from '#lib/api/generated/vmsnapshot.ts';
import { apiVersionOf } from '#lib/api/meta.ts';
import { finalizers } from '#lib/api/names.ts';
import type { MemoryApi } from '#lib/client/memory-client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { signalProcess } from '#lib/std/process-identity.ts';
import { stringifyLossless } from '#mesos/json.ts';
import { operatorClient } from '#mesos/operator.ts';
import { importImage, lab, want } from './testing/local-lab.ts';

const get = (client: MemoryApi, name: string) => client.get(VirtualMachine, { name, namespace: 'default' });
const phase = async (client: MemoryApi, name: string) => (await get(client, name)).status?.phase;

test('import, run on two hosts, survive the death of an executor with its supervisor, delete', async () => {
  const world = await lab(['h1', 'h2']);
  const { client } = world;
  const digest = await importImage(world);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) await want(client, name, 4, digest);
  for (const name of names) await expect.poll(() => phase(client, name), { timeout: 30_000 }).toBe('Running');

  const before = await Promise.all(names.map((name) => get(client, name)));
  const host = before[0]!.status!.attempt!.host!;
  // A worker whose supervisor is gone ends by itself, perhaps before its turn.
  for (const pid of world.executorsOf(host)) signalProcess(pid, 'SIGKILL');
  const adopted = async (name: string) => {
    const { status } = await get(client, name);
    return status?.phase === 'Running' && status.attempt?.adopted === true && status.attempt.host === host;
  };
  const there = before.filter(({ status }) => status?.attempt?.host === host).map(({ metadata }) => metadata.name);
  for (const name of there) await expect.poll(() => adopted(name), { timeout: 30_000 }).toBe(true);
  // Nobody else was touched.
  for (const vm of before.filter(({ metadata }) => !there.includes(metadata.name)))
    expect((await get(client, vm.metadata.name)).status?.attempt).toEqual(vm.status?.attempt);

  for (const name of names) await client.delete(VirtualMachine, { name, namespace: 'default' });
  for (const name of names) {
    await expect.poll(async () => (await get(client, name)).status?.attempt, { timeout: 30_000 }).toBeUndefined();
    expect((await get(client, name)).status?.attempts?.at(-1)?.proof).toBe('ExecutorSawNoDomain');
  }
}, 120_000);

test('a snapshot is taken by the host that has the machine, though its worker is killed, and removed again', async () => {
  const world = await lab(['h1', 'h2']);
  const { client } = world;
  await want(client, 'a', 4, await importImage(world), { disks: [{ name: 'data', size: '1Gi' }], ioWeight: 300 });
  const weighted = async () => conditionOf(await get(client, 'a'), 'IOWeighted');
  await expect.poll(weighted, { timeout: 30_000 }).toMatchObject({ status: 'False', reason: 'NoWeights' });
  await expect.poll(() => phase(client, 'a'), { timeout: 30_000 }).toBe('Running');
  const { metadata, status } = await get(client, 'a');
  const { host, number: attempt } = status!.attempt!;
  const at = { name: 's', namespace: 'default' };
  const made = await client.create(VMSnapshot, {
    ...{
      apiVersion: apiVersionOf(VMSnapshot),
      kind: 'VMSnapshot',
      metadata: { ...at, finalizers: [finalizers.snapshotCleanup] },
    },
    spec: { vm: 'a', consistency: 'QuiescedOrCrash', deadline: '60s', deletionPolicy: 'Delete', includeMemory: false },
  });
  const [worker] = world.executorsOf(host!).toReversed();
  // As the VMSnapshot controller does it.
  const startedAt = new Date(systemClock.now()).toISOString();
  const intent = {
    phase: 'InProgress',
    cluster: 'lab',
    host: host!,
    attempt: attempt!,
    vmUID: metadata.uid,
    startedAt,
  } as const;
  await client.updateStatus(VMSnapshot, { ...made, status: intent });
  signalProcess(worker!, 'SIGKILL');
  const snapshot = async () => (await client.get(VMSnapshot, at)).status;
  await expect.poll(async () => (await snapshot())?.phase, { timeout: 40_000 }).toBe('Ready');
  expect(await snapshot()).toMatchObject({
    ...{ consistencyAchieved: 'CrashConsistent', indications: ['NoGuestAgent', 'Partial'] },
    ...{ notKept: ['data'], message: 'Taken; not in it: data' },
  });
  const { digest } = (await snapshot())!.disks![0]!;
  const stored = () => readdirSync(join(world.directory, 'images'));
  expect(stored()).toContain(digest);
  const ready = await client.get(VMSnapshot, at);
  await client.updateStatus(VMSnapshot, { ...ready, status: { ...ready.status, removal: 'Wanted' } });
  await expect.poll(async () => (await snapshot())?.removal, { timeout: 30_000 }).toBe('Removed');
  expect(stored()).not.toContain(digest);
  expect(readdirSync(join(world.directory, 'images', 'incoming'))).toEqual([]);
}, 120_000);

/** As the virtualmachine controller does it: what was preempted runs again. Resolves with its host. */
async function movedFrom(client: MemoryApi, name: string, host: string, reason: string): Promise<string> {
  await expect.poll(async () => (await get(client, name)).status?.attempt, { timeout: 30_000 }).toBeUndefined();
  const vm = await get(client, name);
  expect(vm.status?.attempts?.at(-1)).toMatchObject({ host, reason, class: 'Preempted', proof: 'ExecutorSawNoDomain' });
  await client.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, phase: 'Scheduling' } });
  await expect.poll(() => phase(client, name), { timeout: 30_000 }).toBe('Running');
  return (await get(client, name)).status!.attempt!.host!;
}

test('a machine leaves its host for a drain, for maintenance, and for a drain by Mesos’ operators', async () => {
  const world = await lab(['h1', 'h2']);
  const { client, master } = world;
  await using operator = operatorClient({ masters: [master], clock: systemClock });
  const agent = async (hostname: string) =>
    (await operator.agents()).agents!.find(({ agent_info }) => agent_info.hostname === hostname)!;
  const status = async (hostname: string) =>
    (await client.get(Host, { name: `lab-${hostname}` })).status?.displayStatus;
  const becomes = (hostname: string, word: string) =>
    expect.poll(() => status(hostname), { timeout: 30_000 }).toBe(word);
  await want(client, 'a', 4, await importImage(world));
  await expect.poll(() => phase(client, 'a'), { timeout: 30_000 }).toBe('Running');
  const first = (await get(client, 'a')).status!.attempt!.host!;

  await client.patch(Host, { name: `lab-${first}` }, { spec: { drain: { markGone: false } } });
  const second = await movedFrom(client, 'a', first, 'HostDrain');
  expect(second).not.toBe(first);
  await expect.poll(async () => (await agent(first)).drain_info?.state, { timeout: 30_000 }).toBe('DRAINED');
  await client.patch(Host, { name: `lab-${first}` }, { spec: { drain: null } });
  await becomes(first, 'Ready');
  await expect.poll(async () => (await agent(first)).deactivated, { timeout: 30_000 }).toBe(false);

  const machine_ids = [{ hostname: second, ip: '127.0.0.1' }];
  const start = { nanoseconds: BigInt(Date.now() + 600_000) * 1_000_000n };
  const plan = (windows: readonly object[]) =>
    operator.call({ type: 'UPDATE_MAINTENANCE_SCHEDULE', update_maintenance_schedule: { schedule: { windows } } });
  await plan([{ machine_ids, unavailability: { start, duration: { nanoseconds: 3.6e12 } } }]);
  expect(await movedFrom(client, 'a', second, 'PartnerReclaim')).toBe(first);
  await becomes(second, 'Drained');
  const answers = async () => stringifyLossless(await operator.call({ type: 'GET_MAINTENANCE_STATUS' }));
  await expect.poll(answers, { timeout: 30_000 }).toContain('"status":"ACCEPT"');
  await plan([]);
  await becomes(second, 'Ready');

  const agent_id = (await agent(first)).agent_info.id;
  await operator.call({ type: 'DRAIN_AGENT', drain_agent: { agent_id } });
  expect(await movedFrom(client, 'a', first, 'PartnerReclaim')).toBe(second);
  await becomes(first, 'Drained');
}, 180_000);
