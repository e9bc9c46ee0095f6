/** All controllers against a real API server over TLS: informers, leader election, garbage collection and namespace deletion as they run. */
import { expect, it, vi } from 'vitest';
import { runControllers } from '#controllers/main.ts';
import { Event, Lease, Namespace } from '#lib/api/core.ts';
import { Image, VirtualMachine, VMOperation, VMPool } from '#lib/api/generated/index.ts';
import type { Kind } from '#lib/api/meta.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { apiWorld } from './api-world.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const within = { timeout: 20_000, interval: 50 };

it('a pool becomes machines, a refused operation says why, and the namespace goes with everything in it', async () => {
  await using world = await apiWorld();
  const { client } = world;
  const errors: unknown[] = [];
  const log: Log = { ...silentLog, error: (message, fields) => void errors.push([message, fields]), child: () => log };
  const stop = new AbortController();
  const ended = runControllers({ client, log, identity: 'one', freeze: true }, stop.signal);
  const at = (name: string) => ({ name, namespace: 'team' });
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  const source = { file: { path: 'debian.qcow2' } };
  await client.create(Image, { apiVersion, kind: 'Image', metadata: at('debian'), spec: { source } });
  const template = { spec: { image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' } } };
  const pool = { apiVersion, kind: 'VMPool', metadata: at('web'), spec: { replicas: 30, template } };
  await client.create(VMPool, pool as never);
  await vi.waitFor(async () => {
    const { items } = await client.list(VirtualMachine, { namespace: 'team' });
    expect(items.filter((vm) => vm.status?.phase === 'Pending')).toHaveLength(30);
  }, within);
  const spec = { vm: 'web-0', type: 'Stop' } as const;
  await client.create(VMOperation, { apiVersion, kind: 'VMOperation', metadata: at('halt'), spec });
  await vi.waitFor(async () => {
    const { status } = await client.get(VMOperation, at('halt'));
    expect(status).toMatchObject({ phase: 'Failed', message: expect.stringContaining('set runPolicy: Halted') });
  }, within);

  await client.delete(Namespace, { name: 'team' });
  await vi.waitFor(
    () => expect(client.get(Namespace, { name: 'team' })).rejects.toMatchObject({ code: 'NotFound' }),
    within,
  );
  const contents: readonly Kind[] = [VirtualMachine, VMPool, Image, VMOperation, Event];
  for (const kind of contents) expect((await client.list(kind, { namespace: 'team' })).items).toEqual([]);
  stop.abort(new Error('enough'));
  await ended;
  const lease = await client.get(Lease, { name: 'factory-controllers', namespace: 'cf-system' });
  expect(lease.spec?.holderIdentity).toBe('');
  expect(errors).toEqual([]);
});
