/** How the secrets of a seed come to a machine, and where they never are. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { MachineLaunch, SeedSecrets } from '#lib/api/launch.ts';
import { seedContext } from '#lib/api/messages.ts';
import { seal } from '#lib/std/sealed-box.ts';
import { machineLaunch, openWorld, type World } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 20_000, interval: 20 }));

async function awaiting(world: World): Promise<MachineLaunch> {
  await until(() => expect(world.agent.subscriptions.length).toBeGreaterThan(0));
  const launch = machineLaunch(randomUUID(), { version: 2, secretSeed: true });
  world.agent.launch(launch);
  await until(() =>
    expect(world.agent.heartbeats.at(-1)?.machines).toEqual([
      expect.objectContaining({ uid: launch.uid, phase: 'Provisioning', awaits: 'Secrets' }),
    ]),
  );
  return launch;
}

function send({ agent }: World, { uid, attempt }: MachineLaunch, secrets: SeedSecrets, key?: string, context?: string) {
  const sealKey = key ?? agent.heartbeats.at(-1)!.sealKey!;
  const sealed = seal(JSON.stringify(secrets), sealKey, context ?? seedContext({ uid, attempt }));
  agent.message({ type: 'seed', version: 1, uid, attempt, sealed });
}

const running = (world: World, { taskId }: MachineLaunch) =>
  until(() => expect(world.agent.states(taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']));

/** Every file under it, with whether others than its owner may read it. */
function files(folder: string): { readonly path: string; readonly text: string; readonly isOpen: boolean }[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return { path, text: readFileSync(path, 'latin1'), isOpen: (statSync(path).mode & 0o077) !== 0 };
    });
}

test('a machine waits for its secrets, has them in its seed alone, and needs them no more', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const launch = await awaiting(world);
  const canary = `canary-${randomUUID()}`;
  send(world, launch, { adminPassword: canary, userData: `#!${canary}`, sshKeys: [`ssh-ed25519 ${canary}`] });
  await running(world, launch);
  await until(() => expect(world.agent.heartbeats.at(-1)!.machines[0]).not.toHaveProperty('awaits'));
  const { updates, heartbeats, subscriptions } = world.agent;
  const decoded = updates.map(({ data }) => Buffer.from(data ?? '', 'base64').toString());
  expect(JSON.stringify([updates, decoded, heartbeats, subscriptions])).not.toContain(canary);
  const holders = files(world.config.root).filter(({ text }) => text.includes(canary));
  expect(holders.map(({ path, isOpen }) => [path, isOpen])).toEqual([
    [join(world.config.root, 'vms', launch.uid, 'seed.iso'), false],
  ]);
  expect(holders[0]!.text.split(canary)).toHaveLength(1 + 3);
  const { sealKey } = world.agent.heartbeats.at(-1)!;
  await first[Symbol.asyncDispose]();
  const { host } = await world.start();
  await until(() => {
    const heartbeat = world.agent.heartbeats.at(-1)!;
    expect(heartbeat.sealKey).not.toBe(sealKey);
    expect(heartbeat).toMatchObject({ machines: [{ phase: 'Running' }] });
  });
  // Off and on again: what is made anew for that has the same seed.
  await host.hypervisor.destroy(launch.uid);
  await until(() =>
    expect(world.agent.heartbeats.at(-1)).toMatchObject({ machines: [{ phase: 'Running', restarts: 1 }] }),
  );
  expect(readFileSync(holders[0]!.path, 'utf8')).toContain(canary);
});

test('what was sealed for another worker, machine or attempt is not for this one', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const launch = await awaiting(world);
  const oldKey = world.agent.heartbeats.at(-1)!.sealKey!;
  await first[Symbol.asyncDispose]();
  world.agent.heartbeats.length = 0;
  await world.start();
  await until(() => expect(world.agent.heartbeats.at(-1)?.sealKey).toBeDefined());
  send(world, launch, { userData: 'old worker' }, oldKey);
  send(world, launch, { userData: 'other machine' }, undefined, seedContext({ uid: randomUUID(), attempt: 1 }));
  send(world, launch, { userData: 'other attempt' }, undefined, seedContext({ uid: launch.uid, attempt: 2 }));
  send(world, { ...launch, attempt: 2 }, { userData: 'other attempt' });
  send(world, launch, { userData: 7 } as never);
  const heard = world.agent.heartbeats.length;
  await until(() => expect(world.agent.heartbeats.length).toBeGreaterThan(heard + 2));
  expect(world.agent.heartbeats.at(-1)!.machines[0]).toMatchObject({ awaits: 'Secrets' });
  send(world, launch, { userData: 'right' });
  await running(world, launch);
  expect(readFileSync(join(world.config.root, 'vms', launch.uid, 'seed.iso'), 'utf8')).toContain('right');
});

test('a machine that waits for its secrets is killed like any other', async () => {
  await using world = await openWorld();
  await world.start();
  const launch = await awaiting(world);
  world.agent.kill(launch.taskId);
  await until(() => expect(world.agent.states(launch.taskId)).toEqual(['TASK_STARTING', 'TASK_KILLED']));
});
