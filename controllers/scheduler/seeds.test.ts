import { beforeEach, expect, test } from 'vitest';
import { Secret } from '#lib/api/core.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { type MachineReport, type SchedulerMessage, seedContext } from '#lib/api/messages.ts';
import type { SeedSecretError } from '#lib/api/seeds.ts';
import { memoryClient } from '#lib/client/memory-client.ts';
import { silentLog } from '#lib/std/log.ts';
import { createOpener, type Opener } from '#lib/std/sealed-box.ts';
import { Seeds } from './seeds.ts';
import type { World } from './world.ts';

const namespace = 'default';
const report: MachineReport = {
  ...{ uid: 'u', attempt: 3, taskId: 'vm-u-3', phase: 'Provisioning', power: 'Off', restarts: 0, awaits: 'Secrets' },
};
const spec = {
  ...{ userDataSecretRef: { name: 'boot', key: 'script' }, adminPasswordSecretRef: { name: 'admin' } },
  sshKeySecretRefs: [{ name: 'keys' }],
};
const vm = (changes: object = {}) =>
  ({
    metadata: { uid: 'u', namespace, name: 'm' },
    spec,
    status: { attempt: { number: 3, host: 'h1' } },
    ...changes,
  }) as unknown as VirtualMachine;

let nowMs = 0;
let told: [string, SchedulerMessage][] = [];
let dueUids: string[] = [];
let problems: Map<string, SeedSecretError>;
let opener: Opener;
beforeEach(() => {
  [nowMs, told, dueUids, problems, opener] = [0, [], [], new Map(), createOpener()];
});

function open(machine: VirtualMachine | undefined = vm()) {
  const client = memoryClient();
  const world = {
    ...{ client, log: silentLog, seedProblems: problems, clock: { monotonic: () => nowMs } },
    machines: { byUid: (uid: string) => (uid === 'u' ? machine : undefined) },
    tell: async (hostname: string, message: SchedulerMessage) => Boolean(told.push([hostname, message])),
  };
  const seeds = new Seeds(world as unknown as World, (uid) => dueUids.push(uid));
  const hear = async (changes: Partial<MachineReport> = {}, sealKey: string | undefined = opener.publicKey) => {
    seeds.heard('h1', { machines: [{ ...report, ...changes }], ...(sealKey === '' ? {} : { sealKey }) });
    await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const put = (name: string, data: Record<string, string>) => {
    const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
    const metadata = { namespace, name };
    return client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, data: Object.fromEntries(encoded) });
  };
  return { hear, put };
}

async function withSecrets(machine?: VirtualMachine) {
  const made = open(machine);
  await made.put('boot', { script: '#!/bin/sh' });
  await made.put('admin', { password: 'p\u00e4ss\n' });
  await made.put('keys', { authorizedKeys: '# mine\nssh-ed25519 A me\r\n\nssh-ed25519 B you\n' });
  return made;
}

test('what a machine waits for is sealed for the worker that asks, and opens for its attempt alone', async () => {
  const { hear } = await withSecrets();
  await hear();
  const [[hostname, order]] = told as [[string, SchedulerMessage & { type: 'seed' }]];
  expect([hostname, order.type, order.uid, order.attempt]).toEqual(['h1', 'seed', 'u', 3]);
  expect(JSON.parse(opener.open(order.sealed, seedContext(order)))).toEqual({
    ...{ userData: '#!/bin/sh', adminPassword: 'p\u00e4ss', sshKeys: ['ssh-ed25519 A me', 'ssh-ed25519 B you'] },
  });
  expect(() => opener.open(order.sealed, seedContext({ ...order, attempt: 4 }))).toThrow();
});

test('it is said again while it is asked for, not with every heartbeat of a burst; to a new worker at once', async () => {
  const { hear } = await withSecrets();
  await hear();
  await hear();
  expect(told).toHaveLength(1);
  nowMs = 3_000;
  await hear();
  expect(told).toHaveLength(2);
  await hear({}, createOpener().publicKey);
  expect(told).toHaveLength(3);
});

test('a Secret that is not there is told of, and sent once it is', async () => {
  const { hear, put } = open();
  await put('boot', { script: 'x' });
  await put('keys', { other: 'x' });
  await hear();
  expect(problems.get('u')).toMatchObject({ reason: 'SecretNotFound', message: expect.stringContaining('"admin"') });
  await put('admin', { password: 'x' });
  nowMs = 10_000;
  await hear();
  expect(problems.get('u')?.message).toContain('"keys" has no key "authorizedKeys"');
  expect([dueUids, told]).toEqual([['u', 'u'], []]);
});

test.each([
  ['another attempt', { attempt: 2 }, undefined, vm()],
  ['a machine that waits for nothing', { awaits: undefined as never }, undefined, vm()],
  ['an executor without a key', {}, '', vm()],
  ['a machine whose attempt is elsewhere', {}, undefined, vm({ status: { attempt: { number: 3, host: 'h2' } } })],
  ['a machine that is gone', { uid: 'other' }, undefined, vm()],
] as const)('%s gets nothing', async (_, changes, key, machine) => {
  const { hear } = await withSecrets(machine);
  await hear(changes, key);
  expect(told).toEqual([]);
});
