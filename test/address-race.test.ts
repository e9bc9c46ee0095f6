/** Two machines that ask for one address at once, through two servers: both are let in, one gets it, and the other says so. */
import { expect, it, vi } from 'vitest';
import { runControllers } from '#controllers/main.ts';
import { Cluster, Image, IPLease, Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import type { Client } from '#lib/client/client.ts';
import { silentLog } from '#lib/std/log.ts';
import { apiWorld } from './api-world.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const at = (name: string) => ({ name, namespace: 'default' });
const ip = '10.66.0.7';

function machine(client: Client, name: string): Promise<VirtualMachine> {
  const resources = { cores: 1, memory: '1Gi' };
  const spec = { image: { name: 'debian' }, resources, networks: [{ subnet: 'net', ip }] };
  return client.create(VirtualMachine, { apiVersion, kind: 'VirtualMachine', metadata: at(name), spec });
}

it('the store decides, the loser has a condition, and whoever comes later is refused', async () => {
  await using world = await apiWorld();
  const { client } = world;
  const other = await world.second();
  const masters = { masters: ['http://127.0.0.1:5050'] } as never;
  await client.create(Cluster, { apiVersion, kind: 'Cluster', metadata: { name: 'lab' }, spec: masters });
  const digest = 'a'.repeat(64);
  const source = { file: { path: 'debian.qcow2' } };
  const image = await client.create(Image, { apiVersion, kind: 'Image', metadata: at('debian'), spec: { source } });
  const clusters = [{ name: 'lab', phase: 'Ready', digest }] as const;
  await client.updateStatus(Image, { ...image, status: { digest, clusters } });
  await client.create(Subnet, { apiVersion, kind: 'Subnet', metadata: at('net'), spec: { cidr: '10.66.0.0/24' } });
  await Promise.all([machine(client, 'one'), machine(other, 'two')]);
  const stop = new AbortController();
  const ended = runControllers({ client, log: silentLog, identity: 'one', freeze: true }, stop.signal);

  const verdicts = async () => {
    const { items } = await client.list(VirtualMachine, { namespace: 'default' });
    const conditions = items.map(({ status }) => status?.conditions?.find(({ type }) => type === 'NetworkReady'));
    return conditions.map((condition) => `${condition?.status} ${condition?.reason}`).toSorted();
  };
  await vi.waitFor(
    async () => expect(await verdicts()).toEqual(['False AddressConflict', expect.stringMatching(/^True/)]),
    { timeout: 20_000, interval: 50 },
  );
  expect((await client.list(IPLease)).items.map(({ spec }) => spec.ip)).toEqual([ip]);
  await expect(machine(other, 'three')).rejects.toMatchObject({
    code: 'Invalid',
    message: expect.stringMatching(/held by (one|two), see IPLease "net-10-66-0-7"/),
  });
  stop.abort(new Error('enough'));
  await ended;
}, 40_000);
