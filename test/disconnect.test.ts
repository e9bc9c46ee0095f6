/**
 * spec.disconnect through the whole system: a host falls silent while its machine runs on, its pool makes another one, and the host answers
 * again. Imitated machines and virtual time, because every case is of minutes of silence; the machines of a host that is away run on also where
 * they are real (test/e2e/lab-faults.test.ts, executor/libvirt/driver.test.ts).
 */
import { expect, test } from 'vitest';
import { Lease } from '#lib/api/core.ts';
import { Host, IPLease, Subnet, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { hostObjectName, labels, systemNamespace } from '#lib/api/names.ts';
import { leftInMesos } from './chaos/left-in-mesos.ts';
import { clusterName, tenants } from './chaos/world.ts';
import { type Lab, openLab } from './quiet-lab.ts';

const [namespace] = tenants;
const minute = 60_000;

/** A pool of one machine, which runs on h1; h2 would take one more. */
async function running(disconnect: VirtualMachine['spec']['disconnect']): Promise<Lab> {
  const lab = await openLab();
  const { api, clock } = lab.world;
  const template = { spec: { image: { name: 'debian' }, resources: { cores: 1, memory: '256Mi' } } };
  await api.create(VMPool, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VMPool', metadata: { name: 'web', namespace } },
    spec: { replicas: 1, template: { spec: { ...template.spec, ...(disconnect && { disconnect }) } } } as never,
  });
  await clock.advance(minute);
  await api.patch(Host, { name: hostObjectName(clusterName, 'h2') }, { spec: { unschedulable: false } });
  expect(await told(lab)).toEqual(['web-0 Running on h1, on']);
  return lab;
}

/** Each machine in one line, with what it really does. */
async function told({ world }: Lab): Promise<readonly string[]> {
  const { items } = await world.api.list(VirtualMachine, { namespace });
  return items
    .map(({ metadata, status }) => {
      const powers = world.hosts.flatMap(({ host }) => host.at(metadata.uid)?.power ?? []);
      const real = powers.find((power) => power !== 'Off') ?? powers[0];
      return `${metadata.name} ${status?.phase} on ${status?.attempt?.host}, ${real?.toLowerCase()}`;
    })
    .toSorted();
}

const silent = ({ world }: Lab) => world.hosts[0]!.killAgent();
const answers = ({ world }: Lab) => world.hosts[0]!.startAgent();

test.each([
  ['KeepOldest', 'web-0 Running on h1, on'],
  ['KeepReplacement', 'web-1 Running on h2, on'],
] as const)('%s: there are two while the host is away, and one when it is back', async (onReconnect, kept) => {
  using lab = await running({ onReconnect });
  const { clock, api } = lab.world;
  silent(lab);
  await clock.advance(4 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on']);
  await clock.advance(6 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on', 'web-1 Running on h2, on']);
  const { items } = await api.list(VirtualMachine, { namespace });
  const [lost, other] = items.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  expect(other!.metadata.labels?.[labels.replaces]).toBe(lost!.metadata.uid);
  answers(lab);
  await clock.advance(5 * minute);
  expect(await told(lab)).toEqual([kept]);
  // The machine that stayed was not touched.
  expect(lab.starts.get((kept.startsWith('web-0') ? lost! : other!).metadata.uid)).toBe(1);
  expect(lab.world.failures).toEqual([]);
});

test('lostAfter: sooner', async () => {
  using lab = await running({ lostAfter: '1m' });
  silent(lab);
  await lab.world.clock.advance(4 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on', 'web-1 Running on h2, on']);
});

test('replace: false: nobody stands in, however long it takes', async () => {
  using lab = await running({ replace: false });
  silent(lab);
  await lab.world.clock.advance(60 * minute);
  expect(await told(lab)).toEqual(['web-0 Unreachable on h1, on']);
  answers(lab);
  await lab.world.clock.advance(5 * minute);
  expect(await told(lab)).toEqual(['web-0 Running on h1, on']);
});

/** A machine of no pool, with an address. */
async function single(disconnect: VirtualMachine['spec']['disconnect']): Promise<Lab> {
  const lab = await openLab();
  const { api, clock } = lab.world;
  await api.create(VirtualMachine, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine', metadata: { name: 'solo', namespace } },
    spec: {
      image: { name: 'debian' },
      networks: [{ subnet: 'net' }],
      resources: { cores: 1, memory: '256Mi' },
      ...(disconnect && { disconnect }),
    } as never,
  });
  await clock.advance(minute);
  await api.patch(Host, { name: hostObjectName(clusterName, 'h2') }, { spec: { unschedulable: false } });
  expect(await told(lab)).toEqual(['solo Running on h1, on']);
  return lab;
}

const solo = ({ world }: Lab) => world.api.get(VirtualMachine, { name: 'solo', namespace });
const h1 = ({ world }: Lab) => world.api.get(Host, { name: hostObjectName(clusterName, 'h1') });
const killExecutors = ({ world }: Lab) => world.hosts[0]!.killExecutors();
const stopWorkers = ({ world }: Lab) => world.hosts[0]!.supervisors.forEach(({ worker }) => void worker?.stop());

test.each([
  ['the worker', silent],
  ['nobody: worker and supervisor are dead', (lab: Lab) => [silent(lab), killExecutors(lab)]],
  ['nobody: the worker is stopped', (lab: Lab) => [silent(lab), stopWorkers(lab)]],
])('selfFenceAfter: the host switches it off, and it runs elsewhere; on the host remains %s', async (_, away) => {
  using lab = await single({ selfFenceAfter: '2m' });
  const { world, cuts, starts } = lab;
  const { uid } = (await solo(lab)).metadata;
  expect((await solo(lab)).status?.attempt?.fence).toEqual({ after: '120s', armed: true });
  away(lab);
  await world.clock.advance(1.6 * minute);
  expect(world.hosts[0]!.host.at(uid)?.power).toBe('On');
  await world.clock.advance(0.5 * minute);
  expect(world.hosts[0]!.host.at(uid)?.power ?? 'Off').toBe('Off');
  expect(cuts.get(uid)?.[0]).toBe('fence');
  await world.clock.advance(2 * minute);
  expect(await told(lab)).toEqual(['solo Running on h2, on']);
  expect((await solo(lab)).status?.attempts?.at(-1)).toMatchObject({ outcome: 'Lost', proof: 'SelfFenced' });
  expect(starts.get(uid)).toBe(2);
  answers(lab);
  await world.clock.advance(10 * minute);
  expect(await told(lab)).toEqual(['solo Running on h2, on']);
  expect(starts.get(uid)).toBe(2);
  expect(world.failures).toEqual([]);
});

test.each([
  ['runs elsewhere', async () => undefined],
  [
    'runs there again',
    async ({ world }: Lab) => {
      for (const [name, unschedulable] of [
        ['h1', false],
        ['h2', true],
      ] as const)
        await world.api.patch(Host, { name: hostObjectName(clusterName, name) }, { spec: { unschedulable } });
    },
  ],
  ['is deleted', async ({ world }: Lab) => await world.api.delete(VirtualMachine, { name: 'solo', namespace })],
])(
  'selfFenceAfter: its task ends for Mesos, also if nobody on the host remembers it, when the machine %s',
  async (_, then) => {
    using lab = await single({ selfFenceAfter: '2m' });
    const { world, cuts } = lab;
    const { metadata, status } = await solo(lab);
    const stored = async () => (await world.api.list(VirtualMachine, { namespace })).items;
    // Until all tasks are asked for every ten minutes only: that is too late to be what helps.
    await world.clock.advance(23 * minute);
    // The agent is there all the time: for Mesos the task runs on.
    stopWorkers(lab);
    await then(lab);
    await world.clock.advance(3 * minute);
    expect(cuts.get(metadata.uid)).toEqual(['fence']);
    expect((await stored()).map((vm) => vm.status?.attempt?.taskID)).not.toContain(status!.attempt!.taskID);
    world.hosts[0]!.loseJournal();
    await world.clock.advance(7 * minute);
    const left = leftInMesos(world, await stored());
    await world.clock.advance(5_000);
    expect(await left).toEqual([]);
    expect(world.failures).toEqual([]);
  },
);

test('selfFenceAfter: a host that is heard switches nothing off, and one that is away shortly neither', async () => {
  using lab = await single({ selfFenceAfter: '2m' });
  await lab.world.clock.advance(10 * minute);
  silent(lab);
  await lab.world.clock.advance(1.5 * minute);
  answers(lab);
  await lab.world.clock.advance(10 * minute);
  expect(await told(lab)).toEqual(['solo Running on h1, on']);
  expect(lab.cuts.size).toBe(0);
});

test('selfFenceAfter: who leads next counts from its own beginning', async () => {
  using lab = await single({ selfFenceAfter: '2m' });
  const { world } = lab;
  silent(lab);
  killExecutors(lab);
  await world.clock.advance(2 * minute);
  for (const server of world.servers) server?.kill();
  await world.clock.advance(2 * minute);
  expect((await solo(lab)).status?.attempt?.host).toBe('h1');
  await world.clock.advance(2 * minute);
  expect(await told(lab)).toEqual(['solo Running on h2, on']);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
  'selfFenceAfter: who was stopped at its call %i while another one led has not heard the host, and proves nothing',
  async (calls) => {
    using lab = await single({ selfFenceAfter: '2m' });
    const { world } = lab;
    const lease = await world.api.get(Lease, { name: `cluster-server-${clusterName}`, namespace: systemNamespace });
    const leader = world.servers.find((server) => server?.identity === lease.spec!.holderIdentity)!;
    leader.doom = { calls, when: 'after', strike: () => leader.stop() };
    await world.clock.advance(4 * minute);
    // What it hears first when it goes on.
    await world.api.patch(VirtualMachine, { name: 'solo', namespace }, { metadata: { labels: { touched: 'yes' } } });
    leader.goOn();
    await world.clock.advance(2 * minute);
    expect(await told(lab)).toEqual(['solo Running on h1, on']);
    expect((await solo(lab)).status?.attempts ?? []).toEqual([]);
    expect(lab.cuts.size).toBe(0);
  },
);

test('selfFenceAfter: two hosts that have something left of one machine and no executor are looked at in the same moment', async () => {
  using lab = await single({ selfFenceAfter: '2m' });
  const { world } = lab;
  const { uid } = (await solo(lab)).metadata;
  const cordon = async (name: string) =>
    await world.api.patch(Host, { name: hostObjectName(clusterName, name) }, { spec: { unschedulable: true } });
  for (const [index, host] of world.hosts.entries()) {
    await cordon(`h${index + 1}`);
    host.killAgent();
    host.killExecutors();
    await world.clock.advance(5 * minute);
  }
  expect(world.hosts.map(({ host }) => host.domains.has(uid))).toEqual([true, true]);
  for (const host of world.hosts) host.startAgent();
  await world.clock.advance(minute);
  expect(world.hosts.map(({ host }) => host.domains.has(uid))).toEqual([false, false]);
  expect(world.failures).toEqual([]);
});

test('selfFenceAfter: without a guardian the worker stays until it has switched it off, however long the agent is away', async () => {
  using lab = await single({ selfFenceAfter: '20m', lostAfter: '30m' });
  const { world, cuts } = lab;
  const [{ host }] = world.hosts as [(typeof world.hosts)[number]];
  silent(lab);
  host.isGuardless = true;
  host.killGuardian();
  await world.clock.advance(30 * minute);
  expect(cuts.get((await solo(lab)).metadata.uid)?.[0]).toBe('fence');
  expect(await told(lab)).toEqual(['solo Running on h2, on']);
  expect(world.hosts[0]!.supervisors.size).toBe(0);
  expect(world.failures).toEqual([]);
});

test('selfFenceAfter: what the host has not armed proves nothing', async () => {
  using lab = await single({ selfFenceAfter: '2m' });
  const { world } = lab;
  const [{ host }] = world.hosts as [(typeof world.hosts)[number]];
  host.isGuardless = true;
  host.killGuardian();
  await world.clock.advance(0.5 * minute);
  expect((await solo(lab)).status?.attempt?.fence?.armed).toBe(false);
  silent(lab);
  killExecutors(lab);
  await world.clock.advance(60 * minute);
  expect(await told(lab)).toEqual(['solo Unreachable on h1, on']);
});

test('forgetAfter: deleted on a host that is away it is let go, its address waits for the host, which is clean when it is back', async () => {
  using lab = await single({ forgetAfter: '10m' });
  const { world } = lab;
  const { uid } = (await solo(lab)).metadata;
  silent(lab);
  await world.clock.advance(5 * minute);
  await world.api.delete(VirtualMachine, { name: 'solo', namespace });
  await world.clock.advance(3 * minute);
  expect(await told(lab)).toEqual(['solo Terminating on h1, on']);
  await world.clock.advance(4 * minute);
  expect(await told(lab)).toEqual([]);
  expect((await h1(lab)).status?.pendingCleanup).toMatchObject([{ uid, name: 'solo', namespace, attempt: 1 }]);
  await world.clock.advance(60 * minute);
  const [lease] = (await world.api.list(IPLease, { namespace })).items;
  expect(lease!.status).toMatchObject({ phase: 'Quarantined', reason: 'HostNotClean', host: 'lab-h1' });
  // Neither goes while it may have the address.
  await world.api.delete(IPLease, { name: lease!.metadata.name, namespace });
  await world.api.delete(Subnet, { name: 'net', namespace });
  await world.clock.advance(10 * minute);
  expect((await world.api.get(Subnet, { name: 'net', namespace })).metadata.deletionTimestamp).toBeDefined();
  expect(world.hosts[0]!.host.at(uid)?.power).toBe('On');
  // Its executor has given its agent up long ago.
  expect(world.hosts[0]!.supervisors.size).toBe(0);
  answers(lab);
  await world.clock.advance(5 * minute);
  expect(world.hosts[0]!.host.domains.has(uid)).toBe(false);
  expect(world.hosts[0]!.host.disks.has(uid)).toBe(false);
  expect((await h1(lab)).status?.pendingCleanup).toBeUndefined();
  expect((await world.api.list(IPLease, { namespace })).items).toEqual([]);
  expect((await world.api.list(Subnet, { namespace })).items).toEqual([]);
  expect(world.failures).toEqual([]);
});
