/** Secrets on their way from the API to a seed, through the local Mesos and a real executor process: who could see them, and does not. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Secret } from '#lib/api/core.ts';
import { factoryKinds, VirtualMachine } from '#lib/api/generated/index.ts';
import { finalizers } from '#lib/api/names.ts';
import type { Log } from '#lib/std/log.ts';
import { importImage, type Lab, lab } from './testing/local-lab.ts';

const namespace = 'default';
const patience = { timeout: 60_000 };

/** How a text may stand in something: as it is, in base64 at any of three alignments, in hex. */
function forms(text: string): readonly string[] {
  const aligned = [0, 1, 2].map((shift) =>
    Buffer.from('\0'.repeat(shift) + text)
      .toString('base64')
      .slice(shift === 0 ? 0 : 4)
      .replace(/.{0,3}={1,2}$/, ''),
  );
  return [text, ...aligned, Buffer.from(text).toString('hex')];
}

/** Log lines of everything below it, too. */
function recording(lines: string[]): Log {
  const write = (...parts: readonly unknown[]) =>
    void lines.push(JSON.stringify(parts, (_, value) => (value instanceof Error ? String(value.stack) : value)));
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  return log;
}

function filesIn(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

function commandLines(): string {
  const read = (pid: string, file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'latin1');
    } catch {
      return '';
    }
  };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => read(pid, 'cmdline') + read(pid, 'environ')).join('\n');
}

/** What Mesos shows to whoever may look at its masters. */
async function shownByMesos({ master }: Lab): Promise<string> {
  const call = async (type: string) => {
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    const reply = await fetch(`${master}/api/v1`, { method: 'POST', headers, body: JSON.stringify({ type }) });
    return await reply.text();
  };
  const answers = await Promise.all(['GET_TASKS', 'GET_AGENTS', 'GET_FRAMEWORKS', 'GET_EXECUTORS'].map(call));
  return [...answers, await (await fetch(`${master}/state`)).text()].join('\n');
}

test('what a seed takes from Secrets is in the seed, for root alone, and nowhere else', async () => {
  const lines: string[] = [];
  const world = await lab(['h1'], { log: recording(lines) });
  const { client } = world;
  const digest = await importImage(world);
  const canaries = ['user', 'net', 'key', 'pass'].map((what) => `canary-${what}-${randomUUID()}`);
  const [user, net, key, pass] = canaries as [string, string, string, string];
  const encoded = Object.entries({
    userData: `#!/bin/sh\n# ${user}\n`,
    networkData: `# ${net}\n`,
    password: `${pass}\n`,
  });
  const data = Object.fromEntries(encoded.map(([name, text]) => [name, Buffer.from(text).toString('base64')]));
  const secret = (name: string, content: Record<string, string>) =>
    client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data: content });
  await secret('boot', data);
  const ref = { name: 'boot' };
  const vm = await client.create(VirtualMachine, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine' },
    metadata: { name: 'a', namespace, finalizers: [finalizers.vmCleanup] },
    spec: {
      ...{ runPolicy: 'Always', image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' }, priority: 0 },
      ...{ terminationGracePeriod: '1s', deleteProtection: false },
      ...{ userDataSecretRef: ref, networkDataSecretRef: ref, adminPasswordSecretRef: ref },
      sshKeySecretRefs: [{ name: 'keys' }],
    },
  });
  const image = { name: 'debian', namespace, digest, format: 'raw', virtualSize: 1 << 20 };
  const resolved = { phase: 'Scheduling', instanceType: { cores: 1, memory: '1Gi' }, conditions: [], image } as const;
  await client.updateStatus(VirtualMachine, { ...vm, status: resolved });
  const status = async () => (await client.get(VirtualMachine, { name: 'a', namespace })).status;
  const configReady = async () => (await status())?.conditions?.find(({ type }) => type === 'ConfigReady');

  // One of them went after the machine was found ready: its host waits, and the machine says why.
  await expect.poll(async () => (await configReady())?.reason, patience).toBe('SecretNotFound');
  expect(await configReady()).toMatchObject({ status: 'False', message: expect.stringContaining('"keys"') });
  expect(await status()).toMatchObject({ phase: 'Provisioning', displayStatus: 'ConfigError' });
  await secret('keys', { authorizedKeys: Buffer.from(`ssh-ed25519 ${key} me`).toString('base64') });
  await expect.poll(async () => (await status())?.phase, patience).toBe('Running');
  await expect.poll(async () => (await configReady())?.status, patience).toBe('True');

  const objects = await Promise.all(factoryKinds.map(async (kind) => (await client.list(kind)).items));
  const shown = { mesos: await shownByMesos(world), commands: commandLines(), log: lines.join('\n') };
  // What is looked through is not empty: the machine is known there.
  expect(shown.mesos).toContain(vm.metadata.uid);
  expect(shown.commands).toContain(world.directory);
  expect(shown.log).toContain(vm.metadata.uid);
  const places = { ...shown, objects: JSON.stringify(objects) };
  const files = filesIn(world.directory);
  expect(files.some((file) => readFileSync(file, 'latin1').includes(vm.metadata.uid))).toBe(true);
  const seed = join(world.directory, 'h1/root/vms', vm.metadata.uid, 'seed.iso');
  for (const canary of canaries) {
    for (const form of forms(canary)) {
      for (const [place, text] of Object.entries(places))
        expect(text.includes(form), `${form} in ${place}`).toBe(false);
      const holders = files.filter((file) => readFileSync(file, 'latin1').includes(form));
      expect(holders, form).toEqual(form === canary ? [seed] : []);
    }
  }
  expect(statSync(seed).mode & 0o777).toBe(0o600);
}, 240_000);
