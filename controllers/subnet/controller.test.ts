import { describe, expect, test, vi } from 'vitest';
import { ConfigMap } from '#lib/api/core.ts';
import { hostNotClean } from '#lib/api/forgotten.ts';
import { IPLease, Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import { systemNamespace } from '#lib/api/names.ts';
import { ApiError } from '#lib/std/errors.ts';
import { settles, survivesEveryFailure } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { subnetController } from './controller.ts';
import { vniMin } from './vni.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';
const at = { namespace, name: 'net' };

async function world(spec: object = { cidr: '10.0.0.0/29' }): Promise<World> {
  const made = story([subnetController]);
  await made.api.create(Subnet, { apiVersion, kind: 'Subnet', metadata: at, spec: spec as never });
  return made;
}

async function rest(made: World): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await settles(made);
    await made.clock.advance(3_000);
  }
  await settles(made);
}

const subnet = ({ api }: World) => api.get(Subnet, at);
const holds = async (made: World, type: string) => {
  const found = (await subnet(made)).status?.conditions?.find((one) => one.type === type);
  return `${found?.status} ${found?.reason}`;
};

const lease = ({ api }: World, ip: string, holder: { uid: string; name: string }) =>
  api.create(IPLease, {
    apiVersion,
    kind: 'IPLease',
    metadata: { namespace, name: `net-${ip.replaceAll('.', '-')}` },
    spec: { subnet: 'net', ip, holderUID: holder.uid, holderName: holder.name },
  });

const machine = ({ api }: World, name: string) =>
  api.create(VirtualMachine, {
    apiVersion,
    kind: 'VirtualMachine',
    metadata: { namespace, name },
    spec: { image: { name: 'debian' } },
  });

describe('subnetController', () => {
  test('says that a machine has the address of the gateway: a lease and a new gateway that were written at once', async () => {
    const made = await world({ cidr: '10.0.0.0/29', gateway: '10.0.0.6' });
    await lease(made, '10.0.0.6', { uid: 'u', name: 'web-0' });
    await rest(made);
    expect(await holds(made, 'Conflict')).toBe('True GatewayLeased');
  });

  test('takes a VXLAN id as an object, and gives it back with the subnet', async () => {
    const made = await world();
    await rest(made);
    const { status } = await subnet(made);
    expect(status).toMatchObject({
      gateway: '10.0.0.1',
      displayStatus: 'Ready',
      capacity: { total: 8, excluded: 3, used: 0, quarantined: 0, available: 5 },
    });
    expect(status!.vni).toBeGreaterThanOrEqual(vniMin);
    const maps = await made.api.list(ConfigMap, { namespace: systemNamespace });
    expect(maps.items.map(({ metadata }) => metadata.name)).toEqual([`vni-${status!.vni}`]);
    await made.api.delete(Subnet, at);
    await rest(made);
    await expect(subnet(made)).rejects.toMatchObject({ code: 'NotFound' });
    expect((await made.api.list(ConfigMap)).items).toEqual([]);
  });

  test('two subnets never share an id, also when the first choice is taken', async () => {
    const made = await world();
    await rest(made);
    const { vni } = (await subnet(made)).status!;
    await made.api.delete(ConfigMap, { namespace: systemNamespace, name: `vni-${vni}` });
    await made.api.create(ConfigMap, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace: systemNamespace, name: `vni-${vni}` },
      data: { subnetUID: 'another' },
    } as never);
    await rest(made);
    expect((await subnet(made)).status?.vni).not.toBe(vni);
  });

  test.each([
    ['cidr with host bits', { cidr: '10.0.0.1/29' }],
    ['gateway outside', { cidr: '10.0.0.0/29', gateway: '10.1.0.1' }],
    ['excluded outside', { cidr: '10.0.0.0/29', excludeIPs: ['10.0.1.1'] }],
  ])('refuses a %s, and says why', async (_name, spec) => {
    const made = await world(spec);
    await rest(made);
    expect(await holds(made, 'Stalled')).toBe('True Invalid');
    expect((await subnet(made)).status?.displayStatus).toBe('Invalid');
  });

  test('counts, says when it is full, and waits for its machines when deleted', async () => {
    const made = await world();
    await rest(made);
    for (let index = 2; index <= 6; index++) {
      const { metadata } = await machine(made, `vm-${index}`);
      await lease(made, `10.0.0.${index}`, metadata);
    }
    await rest(made);
    expect(await holds(made, 'Exhausted')).toBe('True NoFreeAddress');
    expect(await holds(made, 'Conflict')).toBe('False NoConflict');
    await made.api.delete(Subnet, at);
    await rest(made);
    expect(await holds(made, 'DeletionBlocked')).toBe('True InUse');
    for (const { metadata } of (await made.api.list(IPLease)).items) await made.api.delete(IPLease, metadata);
    await rest(made);
    await expect(subnet(made)).rejects.toMatchObject({ code: 'NotFound' });
  });

  test('frees an address after its quarantine, not before', async () => {
    const made = await world();
    const { metadata } = await lease(made, '10.0.0.2', { uid: 'gone', name: 'gone' });
    const quarantinedUntil = new Date(made.clock.now() + 60_000).toISOString();
    await made.api.patchStatus(IPLease, metadata, { status: { phase: 'Quarantined', quarantinedUntil } });
    await rest(made);
    expect((await subnet(made)).status?.capacity).toMatchObject({ used: 0, quarantined: 1, available: 4 });
    await made.clock.advance(60_000);
    await rest(made);
    expect((await made.api.list(IPLease)).items).toEqual([]);
  });

  test('a lease that a user made holds again after its quarantine', async () => {
    const made = await world();
    const metadata = { namespace, name: 'net-10-0-0-2' };
    const spec = { subnet: 'net', ip: '10.0.0.2', holderName: 'web', static: true };
    await made.api.create(IPLease, { apiVersion, kind: 'IPLease', metadata, spec });
    const quarantinedUntil = new Date(made.clock.now() + 60_000).toISOString();
    await made.api.patchStatus(IPLease, metadata, {
      status: { phase: 'Quarantined', quarantinedUntil, reason: 'ForeignHost' },
    });
    await rest(made);
    expect((await made.api.get(IPLease, metadata)).status).toMatchObject({ phase: 'Quarantined' });
    await made.clock.advance(60_000);
    await rest(made);
    expect((await made.api.get(IPLease, metadata)).status).toEqual({ phase: 'Bound' });
  });

  test('an address whose machine is gone goes into quarantine; one whose machine lives stays', async () => {
    const made = await world();
    const { metadata } = await machine(made, 'lives');
    await lease(made, '10.0.0.2', metadata);
    await lease(made, '10.0.0.3', { uid: 'gone', name: 'gone' });
    await made.clock.advance(5 * 60_000);
    await rest(made);
    const phases = (await made.api.list(IPLease)).items.map(({ spec, status }) => `${spec.ip} ${status?.phase}`);
    expect(phases).toEqual(['10.0.0.2 undefined', '10.0.0.3 Quarantined']);
  });

  test('an address is not freed that was said to be in use by a forgotten machine a moment ago', async () => {
    const made = await world();
    await rest(made);
    const { metadata } = await lease(made, '10.0.0.3', { uid: 'gone', name: 'gone' });
    await made.clock.advance(5 * 60_000);
    const held = { phase: 'Quarantined', reason: hostNotClean, host: 'lab-h1' } as const;
    // Between what the controller saw of the lease and what it writes.
    vi.spyOn(made.api, 'get').mockImplementationOnce(async () => {
      await made.api.patchStatus(IPLease, metadata, { status: held });
      throw new ApiError('NotFound', 'The machine is gone');
    });
    await made.reconcile('subnet', 'default/net');
    expect((await made.api.get(IPLease, metadata)).status).toEqual(held);
  });

  test('whose addresses the site gives says nothing of them, and waits for its machines without leases', async () => {
    const made = await world({ cidr: '10.0.0.0/29', type: 'Bridge', segment: { bridge: 'lan' }, ipam: 'External' });
    await rest(made);
    const { status } = await subnet(made);
    expect(status).toMatchObject({ displayStatus: 'Ready', vni: expect.any(Number) });
    expect(status).not.toHaveProperty('capacity');
    expect(status).not.toHaveProperty('gateway');
    for (const [type, what] of [
      ['Ready', 'True Ready'],
      ['Stalled', 'False Progressing'],
      ['Exhausted', 'False External'],
      ['Conflict', 'False NoConflict'],
      ['DeletionBlocked', 'False NotBlocked'],
    ] as const)
      expect([type, await holds(made, type)]).toEqual([type, what]);
    const { metadata } = await machine(made, 'web-0');
    const networks = [{ subnet: 'net', subnetUID: (await subnet(made)).metadata.uid }];
    await made.api.patchStatus(VirtualMachine, metadata, { status: { networks } });
    await made.api.delete(Subnet, at);
    await rest(made);
    expect(await holds(made, 'DeletionBlocked')).toBe('True InUse');
    const message = (await subnet(made)).status?.conditions?.find(({ type }) => type === 'DeletionBlocked')?.message;
    expect(message).toContain('1 machines are on it, for example web-0');
    await made.api.delete(VirtualMachine, metadata);
    await rest(made);
    await expect(subnet(made)).rejects.toMatchObject({ code: 'NotFound' });
    expect((await made.api.list(ConfigMap)).items).toEqual([]);
  });

  test('survives the loss of every call, up and down', async () => {
    const comparable = async () => world();
    const play = async (made: World) => {
      await rest(made);
      expect((await made.api.list(ConfigMap)).items).toHaveLength(1);
      await made.api.delete(Subnet, at);
      await rest(made);
    };
    expect(await survivesEveryFailure(comparable, play)).toBeGreaterThan(8);
  });
});
