/**
 * A Subnet whose addresses the site gives, through the whole system: the machine runs without a lease, and the Subnet waits for what may be on it.
 * Imitated machines and virtual time; what guests may do on such a network is seen in executor/network/segment.test.ts.
 */
import { expect, test } from 'vitest';
import { Host, IPLease, Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { clusterName, tenants } from './chaos/world.ts';
import { type Lab, openLab } from './quiet-lab.ts';

const [namespace] = tenants;
const apiVersion = 'computefactory.io/v1alpha1';
const minute = 60_000;
const lan = { name: 'lan', namespace };
const web = { name: 'web', namespace };

async function running(): Promise<Lab> {
  const lab = await openLab();
  const { api, clock } = lab.world;
  const segment = { bridge: 'lan' };
  await api.create(Subnet, {
    ...{ apiVersion, kind: 'Subnet', metadata: lan },
    spec: { cidr: '10.9.0.0/24', type: 'Bridge', segment, ipam: 'External' },
  });
  await api.create(VirtualMachine, {
    ...{ apiVersion, kind: 'VirtualMachine', metadata: web },
    spec: {
      ...{ image: { name: 'debian' }, resources: { cores: 1, memory: '256Mi' } },
      ...{ networks: [{ subnet: 'lan' }], disconnect: { forgetAfter: '10m' } },
    },
  });
  await clock.advance(minute);
  return lab;
}

test('its machine runs without a lease, and the Subnet goes with the last one', async () => {
  using lab = await running();
  const { api, clock, failures } = lab.world;
  const { status } = await api.get(VirtualMachine, web);
  expect(status).toMatchObject({ phase: 'Running', networks: [{ subnet: 'lan', ipam: 'External' }] });
  expect(status).not.toHaveProperty('ip');
  expect((await api.list(IPLease, { namespace })).items).toEqual([]);
  await api.delete(Subnet, lan);
  await clock.advance(minute);
  expect((await api.get(Subnet, lan)).status?.displayStatus).toBe('Terminating');
  await api.delete(VirtualMachine, web);
  await clock.advance(5 * minute);
  expect((await api.list(VirtualMachine, { namespace })).items).toEqual([]);
  await expect(api.get(Subnet, lan)).rejects.toMatchObject({ code: 'NotFound' });
  expect(failures).toEqual([]);
});

test('a machine that was let go on a host that is away keeps the Subnet, until the host has shown that it is gone', async () => {
  using lab = await running();
  const { api, clock, hosts, failures } = lab.world;
  hosts[0]!.killAgent();
  await clock.advance(5 * minute);
  await api.delete(VirtualMachine, web);
  await clock.advance(10 * minute);
  expect((await api.list(VirtualMachine, { namespace })).items).toEqual([]);
  const { status } = await api.get(Host, { name: hostObjectName(clusterName, 'h1') });
  expect(status?.pendingCleanup).toMatchObject([{ name: 'web', addresses: [{ subnet: 'lan' }] }]);
  await api.delete(Subnet, lan);
  await clock.advance(10 * minute);
  const blocked = (await api.get(Subnet, lan)).status?.conditions?.find(({ type }) => type === 'DeletionBlocked');
  expect(blocked).toMatchObject({ status: 'True', message: expect.stringContaining('for example web') });
  hosts[0]!.startAgent();
  await clock.advance(5 * minute);
  await expect(api.get(Subnet, lan)).rejects.toMatchObject({ code: 'NotFound' });
  expect(failures).toEqual([]);
});
