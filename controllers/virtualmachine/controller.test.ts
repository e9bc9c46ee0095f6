import { describe, expect, test } from 'vitest';
import { Secret } from '#lib/api/core.ts';
import { Image, IPLease, Subnet, VirtualMachine, VMOperation } from '#lib/api/generated/index.ts';
import { finalizers, labels } from '#lib/api/names.ts';
import { settles, survivesEveryFailure } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { virtualMachineController } from './controller.ts';
import { macCandidates } from './identity.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';

interface Scene {
  readonly machines?: number;
  readonly cidr?: string;
  readonly releaseCooldown?: string;
  readonly imageReady?: boolean;
  readonly ip?: string;
}

async function world({
  machines = 1,
  cidr = '10.0.0.0/29',
  releaseCooldown = '10m',
  imageReady = true,
  ip,
}: Scene = {}) {
  const made = story([virtualMachineController]);
  const { api } = made;
  const image = await api.create(Image, {
    apiVersion,
    kind: 'Image',
    metadata: { namespace, name: 'debian' },
    spec: { source: { file: { path: 'debian.qcow2' } } },
  });
  if (imageReady) await importImage(made, image);
  const subnet = await api.create(Subnet, {
    apiVersion,
    kind: 'Subnet',
    metadata: { namespace, name: 'net' },
    spec: { cidr, releaseCooldown } as never,
  });
  await api.updateStatus(Subnet, { ...subnet, status: { vni: 5000, gateway: '10.0.0.1' } });
  for (let index = 0; index < machines; index++) await createMachine(made, `vm-${index}`, ip);
  return made;
}

const importImage = ({ api }: World, image: Image) =>
  api.updateStatus(Image, {
    ...image,
    status: {
      digest: 'a'.repeat(64),
      format: 'qcow2',
      virtualSize: 1,
      clusters: [{ name: 'lab', phase: 'Ready', digest: 'a'.repeat(64) }],
    },
  });

const createMachine = ({ api }: World, name: string, ip?: string) =>
  api.create(VirtualMachine, {
    apiVersion,
    kind: 'VirtualMachine',
    metadata: { namespace, name, finalizers: [finalizers.vmCleanup] },
    spec: {
      image: { name: 'debian' },
      resources: { cores: 2, memory: '2Gi' },
      networks: [{ subnet: 'net', ...(ip && { ip }) }],
    } as never,
  });

const machine = ({ api }: World, name = 'vm-0') => api.get(VirtualMachine, { namespace, name });
const leases = async ({ api }: World) => (await api.list(IPLease)).items;
const conditionText = (vm: VirtualMachine, type: string) => {
  const found = vm.status?.conditions?.find((one) => one.type === type);
  return `${found?.status} ${found?.reason}`;
};

describe('virtualMachineController', () => {
  test('prepares a machine with one lease and one status write', async () => {
    const made = await world();
    await settles(made);
    const vm = await machine(made);
    expect(vm.status).toMatchObject({
      phase: 'Scheduling',
      ip: '10.0.0.2',
      instanceType: { cores: 2, memory: '2Gi' },
      image: { name: 'debian', namespace, digest: 'a'.repeat(64) },
      networks: [{ subnet: 'net', vni: 5000, prefix: 29, gateway: '10.0.0.1', lease: 'net-10-0-0-2' }],
    });
    expect(['ConfigReady', 'ImageReady', 'NetworkReady', 'Stalled'].map((type) => conditionText(vm, type))).toEqual([
      'True Resolved',
      'True Resolved',
      'True Resolved',
      'False Progressing',
    ]);
    expect(made.calls.writes).toBe(2);
  });

  test('tells the host of a way out that the subnet has', async () => {
    const made = await world();
    await made.api.patch(Subnet, { namespace, name: 'net' }, { spec: { egress: 'NAT' } });
    await settles(made);
    expect((await machine(made)).status!.networks).toMatchObject([{ egress: 'NAT', gateway: '10.0.0.1' }]);
    await made.api.patch(Subnet, { namespace, name: 'net' }, { spec: { egress: 'None' } });
    await settles(made);
    expect((await machine(made)).status!.networks![0]).not.toHaveProperty('egress');
  });

  describe('on a subnet whose addresses the site gives', () => {
    const segment = { bridge: 'lan' };
    const onSite = async (
      made: World,
      names: readonly string[],
      subnet = 'lan',
      network = {},
      ipam: Subnet['spec']['ipam'] = 'External',
    ) => {
      const spec = { cidr: '10.1.0.0/24', type: 'Bridge' as const, segment, ipam };
      await made.api.create(Subnet, { apiVersion, kind: 'Subnet', metadata: { namespace, name: subnet }, spec });
      await made.api.patchStatus(Subnet, { namespace, name: subnet }, { status: { vni: 5001 } });
      for (const name of names)
        await made.api.create(VirtualMachine, {
          ...{ apiVersion, kind: 'VirtualMachine', metadata: { namespace, name } },
          spec: {
            ...{ image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' } },
            networks: [{ subnet, ...network }],
          },
        });
    };

    test('a machine is ready with a MAC of its own and no address or lease, and keeps the MAC', async () => {
      const made = await world({ machines: 0 });
      await onSite(made, ['web']);
      await settles(made);
      const { status, metadata } = await machine(made, 'web');
      const [mac] = macCandidates(metadata.uid, 0);
      expect(status).toMatchObject({ phase: 'Scheduling' });
      expect(status).not.toHaveProperty('ip');
      expect(status!.networks).toEqual([
        {
          ...{ subnet: 'lan', subnetUID: expect.any(String), vni: 5001, mac, mtu: 1450 },
          ...{ ipam: 'External', cidr: '10.1.0.0/24', segment },
        },
      ]);
      expect(await leases(made)).toEqual([]);
      // What its guest said before it was last stopped is no address of it any more.
      const said = status!.networks!.map((network) => ({
        ...network,
        mac: macCandidates(metadata.uid, 0)[1]!,
        ip: '10.1.0.9',
      }));
      await made.api.patchStatus(VirtualMachine, metadata, { status: { ip: '10.1.0.9', networks: said } });
      await made.reconcile('virtualmachine', 'default/web');
      const after = (await machine(made, 'web')).status!;
      expect([after.ip, after.networks![0]!.ip, after.networks![0]!.mac]).toEqual([undefined, undefined, said[0]!.mac]);
    });

    test.each(['External', 'Managed'] as const)(
      'no machine gets the MAC that another has on the site: %s',
      async (ipam) => {
        const made = await world({ machines: 0 });
        await onSite(made, ['web'], 'lan', {}, ipam);
        const { uid } = (await machine(made, 'web')).metadata;
        await onSite(made, ['other'], 'lan-too');
        const networks = [{ subnet: 'lan-too', mac: macCandidates(uid, 0)[0]!, segment }];
        const status = { attempt: { number: 1 }, networks };
        await made.api.patchStatus(VirtualMachine, { namespace, name: 'other' }, { status });
        await settles(made);
        expect((await machine(made, 'web')).status!.networks![0]!.mac).toBe(macCandidates(uid, 0)[1]);
      },
    );

    test('a machine that wants one address waits, and says why', async () => {
      const made = await world({ machines: 0 });
      // As one does that was made before its Subnet: the server refuses what it can see.
      await onSite(made, ['web'], 'lan', { ip: '10.1.0.7' });
      await settles(made);
      const vm = await machine(made, 'web');
      expect(conditionText(vm, 'NetworkReady')).toBe('False AddressConflict');
      const message = vm.status!.conditions!.find(({ type }) => type === 'NetworkReady')!.message;
      expect(message).toContain('Take spec.networks[0].ip out');
      expect(await leases(made)).toEqual([]);
    });
  });

  test('tells the host which network of the site the subnet is', async () => {
    const made = await world();
    const segment = { bridge: 'lan' };
    const spec = { cidr: '10.1.0.0/29', type: 'Bridge' as const, segment };
    await made.api.create(Subnet, { apiVersion, kind: 'Subnet', metadata: { namespace, name: 'lan' }, spec });
    await made.api.patchStatus(Subnet, { namespace, name: 'lan' }, { status: { vni: 5001, gateway: '10.1.0.1' } });
    await made.api.create(VirtualMachine, {
      ...{ apiVersion, kind: 'VirtualMachine', metadata: { namespace, name: 'on-site' } },
      spec: { image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' }, networks: [{ subnet: 'lan' }] },
    });
    await settles(made);
    expect((await machine(made, 'on-site')).status!.networks).toMatchObject([{ ip: '10.1.0.2', segment }]);
  });

  test('gives every machine its own address until there is none, and goes on when one is freed', async () => {
    const made = await world({ machines: 6, releaseCooldown: '0s' });
    await settles(made);
    const ips = (await leases(made)).map(({ spec }) => spec.ip).toSorted();
    expect(ips).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(conditionText(await machine(made, 'vm-5'), 'NetworkReady')).toBe('False SubnetExhausted');
    await made.api.delete(VirtualMachine, { namespace, name: 'vm-2' });
    await settles(made);
    await made.clock.advance(15_000);
    await settles(made);
    expect((await machine(made, 'vm-5')).status).toMatchObject({ phase: 'Scheduling', ip: '10.0.0.4' });
  });

  test('gets the newest image of the family that it asks for, once and for all', async () => {
    const made = await world({ machines: 0 });
    const { api } = made;
    const addImage = async (name: string, more: object = {}) => {
      const spec = { source: { file: { path: name } }, family: 'debian', ...more };
      const image = await api.create(Image, { apiVersion, kind: 'Image', metadata: { namespace, name }, spec });
      return await importImage(made, image);
    };
    const addMachine = (name: string, metadata: object = {}) =>
      api.create(VirtualMachine, {
        ...{ apiVersion, kind: 'VirtualMachine' },
        metadata: { namespace, name, finalizers: [finalizers.vmCleanup], ...metadata },
        spec: { image: { family: 'debian' }, resources: { cores: 1, memory: '1Gi' } },
      } as never);
    const imageOf = async (name: string) => (await machine(made, name)).status?.image?.name;
    const pool = (uid: string) => ({
      labels: { [labels.revision]: 'r' },
      ownerReferences: [{ apiVersion, kind: 'VMPool', name: uid, uid, controller: true }],
    });
    await addMachine('first');
    await settles(made);
    expect(conditionText(await machine(made, 'first'), 'ImageReady')).toBe('False NotFound');
    await addImage('debian-11', { deprecated: true });
    await settles(made);
    const waiting = (await machine(made, 'first')).status?.conditions?.find(({ type }) => type === 'ImageReady');
    expect(waiting?.message).toMatch(/^All 1 Images of the family "debian" in namespace default are deprecated/);
    await made.clock.advance(1_000);
    const twelve = await addImage('debian-12');
    await settles(made);
    expect((await machine(made, 'first')).status).toMatchObject({
      ...{ phase: 'Scheduling', image: { name: 'debian-12', namespace, family: 'debian', digest: 'a'.repeat(64) } },
    });
    await addMachine('pool-0', pool('p'));
    await settles(made);
    await made.clock.advance(1_000);
    await addImage('debian-13');
    await addMachine('second');
    await addMachine('pool-1', pool('p'));
    await addMachine('other-0', pool('q'));
    await settles(made);
    expect(await Promise.all(['first', 'second', 'pool-0', 'pool-1', 'other-0'].map(imageOf))).toEqual([
      ...['debian-12', 'debian-13', 'debian-12', 'debian-12', 'debian-13'],
    ]);
    await api.patch(Image, { namespace, name: twelve.metadata.name }, { spec: { deprecated: true } });
    await addMachine('pool-2', pool('p'));
    await settles(made);
    expect(await Promise.all(['first', 'pool-0', 'pool-2'].map(imageOf))).toEqual([
      ...['debian-12', 'debian-12', 'debian-13'],
    ]);
  });

  test('waits for the image and says so', async () => {
    const made = await world({ imageReady: false });
    await settles(made);
    const vm = await machine(made);
    expect(vm.status).toMatchObject({ phase: 'Pending', displayStatus: 'Pending' });
    expect(conditionText(vm, 'ImageReady')).toBe('False Waiting');
    expect(await leases(made)).toEqual([]);
    await importImage(made, await made.api.get(Image, { namespace, name: 'debian' }));
    await settles(made);
    expect((await machine(made)).status?.phase).toBe('Scheduling');
  });

  test('an image that is being deleted is kept by machines that have it, and given to no new one', async () => {
    const made = await world();
    await settles(made);
    const at = { namespace, name: 'debian' };
    await made.api.patch(Image, at, { metadata: { finalizers: [finalizers.imageInUse] } });
    await made.api.delete(Image, at);
    await createMachine(made, 'vm-1');
    await settles(made);
    expect((await machine(made)).status).toMatchObject({ phase: 'Scheduling', image: { digest: 'a'.repeat(64) } });
    const late = await machine(made, 'vm-1');
    expect([late.status?.phase, conditionText(late, 'ImageReady')]).toEqual(['Pending', 'False Failed']);
    expect(late.status).not.toHaveProperty('image');
  });

  test('a fixed address of another machine is a conflict that names the lease', async () => {
    const made = await world({ machines: 2, ip: '10.0.0.5' });
    await settles(made);
    const [first, second] = [await machine(made), await machine(made, 'vm-1')];
    expect(first.status).toMatchObject({ phase: 'Scheduling', ip: '10.0.0.5' });
    expect(conditionText(second, 'NetworkReady')).toBe('False AddressConflict');
    expect(second.status?.displayStatus).toBe('NetworkError');
  });

  test('writes nothing while an attempt is live, and releases only after it is gone', async () => {
    const made = await world();
    await settles(made);
    const vm = await machine(made);
    await made.api.updateStatus(VirtualMachine, {
      ...vm,
      status: { ...vm.status, phase: 'Running', attempt: { number: 1, host: 'h1' } },
    });
    await made.api.delete(VirtualMachine, { namespace, name: 'vm-0' });
    const { writes } = made.calls;
    await settles(made);
    expect(made.calls.writes).toBe(writes);
    const { attempt: _, ...rest } = (await machine(made)).status!;
    await made.api.updateStatus(VirtualMachine, { ...(await machine(made)), status: rest });
    await settles(made);
    await expect(machine(made)).rejects.toMatchObject({ code: 'NotFound' });
    expect((await leases(made)).map(({ status }) => status?.phase)).toEqual(['Quarantined']);
    expect(made.calls.writes - writes).toBe(2);
  });

  test('launches again after the back-off, and once only', async () => {
    const made = await world();
    await settles(made);
    const vm = await machine(made);
    const ended = new Date(made.clock.now()).toISOString();
    await made.api.updateStatus(VirtualMachine, {
      ...vm,
      status: {
        ...vm.status,
        phase: 'Running',
        attempts: [{ number: 1, outcome: 'Failed', class: 'Guest', reason: 'GuestCrashed', ended }],
      },
    });
    await settles(made);
    expect((await machine(made)).status).toMatchObject({
      phase: 'Pending',
      displayStatus: 'BackOff',
      restarts: { relaunch: 1 },
    });
    await made.clock.advance(13_000);
    await settles(made);
    expect((await machine(made)).status).toMatchObject({ phase: 'Scheduling', ip: '10.0.0.2' });
    expect(await leases(made)).toHaveLength(1);
  });

  /** As the cluster server closes an attempt whose host was answered at the machine's address. */
  const answered = async (made: World, number: number) => {
    const vm = await machine(made);
    const [network] = vm.status!.networks!;
    const conflict = { subnet: 'net', ip: network!.ip!, mac: '02:00:00:00:00:07' };
    const ended = new Date(made.clock.now()).toISOString();
    const row = {
      number,
      outcome: 'Failed',
      class: 'Infrastructure',
      reason: 'AddressConflict',
      ended,
      conflict,
    } as const;
    await made.api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, attempts: [row] } });
    return ended;
  };
  const shown = async (made: World) =>
    (await leases(made)).map(({ spec, status }) => [spec.ip, status?.phase, status?.reason].filter(Boolean).join(' '));

  test.each([['Once'], ['Always']])(
    'an address that somebody else has goes into quarantine, and the machine at once goes on with the next: %s',
    async (runPolicy) => {
      const made = await world({ releaseCooldown: '0s' });
      await made.api.patch(VirtualMachine, { namespace, name: 'vm-0' }, { spec: { runPolicy } } as never);
      await settles(made);
      await answered(made, 1);
      await settles(made);
      expect((await machine(made)).status).toMatchObject({ phase: 'Scheduling', ip: '10.0.0.3' });
      expect(await shown(made)).toEqual(['10.0.0.2 Quarantined ForeignHost', '10.0.0.3']);
      const [first] = await leases(made);
      // No releaseCooldown makes it less than ten minutes.
      expect(Date.parse(first!.status!.quarantinedUntil!) - made.clock.now()).toBe(600_000);
      await answered(made, 2);
      await settles(made);
      expect((await machine(made)).status).toMatchObject({ phase: 'Scheduling', ip: '10.0.0.4' });
      expect(conditionText(await machine(made), 'NetworkReady')).toBe('True Resolved');
      const { events } = made;
      expect(events.map(({ reason, message }) => `${reason} ${message}`)).toContainEqual(
        expect.stringMatching(
          /^AddressConflict Somebody with the MAC 02:00:00:00:00:07 answers at address 10.0.0.2 of/,
        ),
      );
    },
  );

  test('a machine that must have the address waits, says why, and tries it again after the quarantine', async () => {
    const made = await world({ ip: '10.0.0.5' });
    await settles(made);
    await answered(made, 1);
    await settles(made);
    const waiting = await machine(made);
    expect([waiting.status?.phase, conditionText(waiting, 'NetworkReady')]).toEqual([
      'Pending',
      'False AddressConflict',
    ]);
    expect(await shown(made)).toEqual(['10.0.0.5 Quarantined ForeignHost']);
    await made.clock.advance(600_000);
    // As the Subnet controller does.
    await made.api.delete(IPLease, { namespace, name: 'net-10-0-0-5' });
    await settles(made);
    await made.clock.advance(15_000);
    await settles(made);
    expect((await machine(made)).status).toMatchObject({ phase: 'Scheduling', ip: '10.0.0.5' });
    expect(await shown(made)).toEqual(['10.0.0.5']);
  });

  test('knows which addresses it has run with, and forgets that with the address', async () => {
    const made = await world();
    await settles(made);
    const before = await machine(made);
    const networks = before.status!.networks!.map((network) => ({ ...network, used: true }));
    const ended = new Date(made.clock.now()).toISOString();
    const row = { number: 1, outcome: 'Lost', class: 'Infrastructure', reason: 'HostLost', ended } as const;
    await made.api.updateStatus(VirtualMachine, { ...before, status: { ...before.status, networks, attempts: [row] } });
    await settles(made);
    expect((await machine(made)).status!.networks).toMatchObject([{ ip: '10.0.0.2', used: true }]);
    await answered(made, 2);
    await settles(made);
    const [network] = (await machine(made)).status!.networks!;
    expect([network!.ip, network!.used]).toEqual(['10.0.0.3', undefined]);
  });

  test('survives the loss of every call when an address is in use', async () => {
    const makeWorld = async () => {
      const made = await world();
      await settles(made);
      await answered(made, 1);
      return made;
    };
    expect(await survivesEveryFailure(makeWorld)).toBeGreaterThan(1);
  });

  test('an accepted Start launches a Manual machine that has no attempt', async () => {
    const made = await world();
    await made.api.patch(VirtualMachine, { namespace, name: 'vm-0' }, { spec: { runPolicy: 'Manual' } });
    await settles(made);
    const { status, metadata } = await machine(made);
    expect(status).toMatchObject({ phase: 'Stopped' });
    const operation = await made.api.create(VMOperation, {
      apiVersion,
      kind: 'VMOperation',
      metadata: { namespace, name: 'on' },
      spec: { vm: 'vm-0', type: 'Start' } as never,
    });
    await made.api.updateStatus(VMOperation, { ...operation, status: { phase: 'Pending', vmUID: metadata.uid } });
    await settles(made);
    expect((await machine(made)).status).toMatchObject({ phase: 'Scheduling', requestedPower: 'On' });
  });

  test('tells by events, once, of a disk that pauses it and of its guest’s ends, and writes nothing', async () => {
    const made = await world();
    await settles(made);
    const befalls = async (status: VirtualMachine['status']) => {
      const vm = await machine(made);
      await made.api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, ...status } });
      await settles(made);
    };
    await befalls({ phase: 'Running', attempt: { number: 1, host: 'h1' } });
    const { writes } = made.calls;
    const told = made.events.length;
    await befalls({ phase: 'Paused', pausedReason: 'IOError' });
    const end = {
      class: 'Guest',
      reason: 'GuestCrashed',
      message: 'It crashed',
      time: '2026-01-01T00:00:09Z',
    } as const;
    await befalls({ phase: 'Starting', lastTermination: end });
    await befalls({ lastTermination: { ...end, reason: 'GuestShutdown', time: '2026-01-01T00:00:19Z' } });
    expect(made.events.slice(told).map(({ type, reason }) => `${type} ${reason}`)).toEqual([
      'Warning IOError',
      'Warning GuestCrashed',
      'Normal GuestShutdown',
    ]);
    expect(made.calls.writes).toBe(writes);
  });

  test('survives the loss of every call on the way up', async () => {
    expect(await survivesEveryFailure(() => world({ machines: 2 }))).toBeGreaterThan(4);
  });

  test('survives the loss of every call on the way down', async () => {
    const makeWorld = async () => {
      const made = await world({ machines: 2 });
      await settles(made);
      await made.api.delete(VirtualMachine, { namespace, name: 'vm-0' });
      return made;
    };
    expect(await survivesEveryFailure(makeWorld)).toBeGreaterThan(2);
  });
});

describe('the name inside the guest', () => {
  const named = async (made: World, name: string, pool: string | undefined, hostname?: string) =>
    await made.api.create(VirtualMachine, {
      apiVersion,
      kind: 'VirtualMachine',
      metadata: {
        ...{ namespace, name, finalizers: [finalizers.vmCleanup] },
        ...(pool === undefined ? {} : { labels: { 'computefactory.io/pool': pool } }),
      },
      spec: {
        ...{ image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' }, networks: [] },
        ...(hostname && { hostname }),
      } as never,
    });
  const hostnames = async (made: World) =>
    (await made.api.list(VirtualMachine)).items.map(({ status }) => status?.hostname ?? '');

  test('is one per machine of a pool, also if the template names them all alike', async () => {
    const made = await world({ machines: 0 });
    await Promise.all(['a', 'b', 'c'].map((name) => named(made, name, 'web', 'node')));
    await named(made, 'd', 'other', 'node');
    await settles(made);
    const [a, b, c, d] = (await hostnames(made)) as [string, string, string, string];
    expect(d).toBe('node');
    expect(new Set([a, b, c])).toHaveLength(3);
    expect([a, b, c].filter((name) => name === 'node')).toHaveLength(1);
    expect([a, b, c].filter((name) => /^node-[a-z2-7]{5}$/.test(name))).toHaveLength(2);
    const later = await named(made, 'e', 'web', 'node');
    await made.clock.advance(60_000);
    await settles(made);
    expect((await machine(made, 'e')).status?.hostname).toMatch(/^node-[a-z2-7]{5}$/);
    expect(later.status).toBeUndefined();
  });

  test('of Windows has 15 characters at most and is no number', async () => {
    const made = await world({ machines: 0 });
    const image = await made.api.get(Image, { namespace, name: 'debian' });
    await made.api.update(Image, { ...image, spec: { ...image.spec, osType: 'Windows' } });
    await named(made, 'render-win2022-blender-0', undefined);
    await named(made, 'fifteen-is-fine', undefined);
    await named(made, '2022', undefined);
    await settles(made);
    expect(await hostnames(made)).toEqual([
      expect.stringMatching(/^2022-[a-z2-7]{5}$/),
      'fifteen-is-fine',
      expect.stringMatching(/^render-wi-[a-z2-7]{5}$/),
    ]);
  });

  test('of 64 characters is cut also where Linux runs', async () => {
    const made = await world({ machines: 0 });
    const [long, fits] = ['l'.repeat(64), 'f'.repeat(63)];
    await Promise.all([long, fits].map((name) => named(made, name, undefined)));
    await settles(made);
    expect(await hostnames(made)).toEqual([fits, expect.stringMatching(/^lllllllll-[a-z2-7]{5}$/)]);
  });
});

test('a seed that cannot be made is told of before anything is taken for the machine', async () => {
  const made = await world();
  const vm = await machine(made);
  await made.api.update(VirtualMachine, { ...vm, spec: { ...vm.spec, format: 'Ignition' } });
  await settles(made);
  expect(conditionText(await machine(made), 'ConfigReady')).toBe('False Failed');
  expect(await leases(made)).toEqual([]);
});

test('a Secret of the seed is waited for, and its coming wakes the machine', async () => {
  const made = await world();
  const vm = await machine(made);
  const adminPasswordSecretRef = { name: 'admin', key: 'word' };
  await made.api.update(VirtualMachine, { ...vm, spec: { ...vm.spec, adminPasswordSecretRef } });
  await settles(made);
  const said = (await machine(made)).status?.conditions?.find(({ type }) => type === 'ConfigReady');
  expect(said).toMatchObject({
    status: 'False',
    reason: 'SecretNotFound',
    message: expect.stringContaining('"admin"'),
  });
  expect((await machine(made)).status).toMatchObject({ phase: 'Pending', displayStatus: 'ConfigError' });
  const metadata = { namespace, name: 'admin' };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata };
  const stored = await made.api.create(Secret, { ...secret, data: { other: 'eA==' } });
  await settles(made);
  expect(conditionText(await machine(made), 'ConfigReady')).toBe('False SecretNotFound');
  await made.api.update(Secret, { ...stored, data: { word: Buffer.from('canary-word').toString('base64') } });
  await settles(made);
  expect((await machine(made)).status).toMatchObject({ phase: 'Scheduling' });
  expect(JSON.stringify(await machine(made))).not.toContain('canary-word');
});
