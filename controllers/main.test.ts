import { expect, it, vi } from 'vitest';
import { ConfigMap, Lease } from '#lib/api/core.ts';
import { Image, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { memoryClient } from '#lib/client/memory-client.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { applyDefaults } from '#test/crd-defaults.ts';
import { runControllers } from './main.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const within = { timeout: 15_000, interval: 20 };

/** Remembers what was logged as an error: a healthy run has none. */
function listeningLog(errors: unknown[]): Log {
  const log: Log = {
    ...silentLog,
    error: (message, fields) => void errors.push([message, fields]),
    child: () => log,
  };
  return log;
}

it('runs every controller on one API: a pool becomes machines, and goes with them', async () => {
  const client = memoryClient({ admit: applyDefaults, namespaces: ['default'] });
  const errors: unknown[] = [];
  const stop = new AbortController();
  const port = await freePort();
  const options = { client, log: listeningLog(errors), identity: 'one', listen: `127.0.0.1:${port}`, freeze: true };
  const ended = runControllers(options, stop.signal);
  const metadata = { name: 'web', namespace: 'default' };
  await client.create(Image, {
    apiVersion,
    kind: 'Image',
    metadata: { name: 'debian', namespace: 'default' },
    spec: { source: { file: { path: 'debian.qcow2' } } },
  });
  const template = { spec: { image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' } } };
  await client.create(VMPool, { apiVersion, kind: 'VMPool', metadata, spec: { replicas: 3, template } as never });

  await vi.waitFor(async () => {
    const { items } = await client.list(VirtualMachine);
    expect(items.map((vm) => `${vm.metadata.name} ${vm.status?.phase}`)).toEqual([
      'web-0 Pending',
      'web-1 Pending',
      'web-2 Pending',
    ]);
  }, within);
  const lease = await client.get(Lease, { name: 'factory-controllers', namespace: 'cf-system' });
  expect(lease.spec?.holderIdentity).toBe('one');
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(metrics).toMatch(/computefactory_reconcile_total\{controller="vmpool"\} [1-9]/);

  await client.delete(VMPool, metadata);
  await vi.waitFor(async () => expect((await client.list(VirtualMachine)).items).toEqual([]), within);
  expect((await client.list(ConfigMap)).items).toEqual([]);
  expect(errors).toEqual([]);

  stop.abort(new Error('enough'));
  await ended;
  const released = await client.get(Lease, { name: 'factory-controllers', namespace: 'cf-system' });
  expect(released.spec?.holderIdentity).toBe('');
});
