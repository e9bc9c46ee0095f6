/**
 * Live migration through the whole system: controllers, cluster server, a local Mesos, real executors, imitated machines, virtual time. The same
 * hand-over with real guests is executor/libvirt's; every evidence is in controllers/scheduler/migration.test.ts, and everything at once in the chaos run.
 */
import { expect, test, vi } from 'vitest';
import { conditionOf } from '#lib/api/conditions.ts';
import { Event } from '#lib/api/core.ts';
import { Host, VirtualMachine, VMOperation } from '#lib/api/generated/index.ts';
import { annotations, hostObjectName } from '#lib/api/names.ts';
import { leftInMesos } from './chaos/left-in-mesos.ts';
import { clusterName, tenants } from './chaos/world.ts';
import { type Lab, openLab } from './quiet-lab.ts';

const [namespace] = tenants;
const minute = 60_000;
const apiVersion = 'computefactory.io/v1alpha1';
const at = (name: string) => ({ name, namespace });

/** Machines that run on h1; h2 is free for them. */
async function running(names: readonly string[], spec: Partial<VirtualMachine['spec']> = {}): Promise<Lab> {
  const lab = await openLab();
  const { api, clock } = lab.world;
  for (const name of names)
    await api.create(VirtualMachine, {
      ...{ apiVersion, kind: 'VirtualMachine', metadata: at(name) },
      spec: {
        ...{ image: { name: 'debian' }, networks: [{ subnet: 'net' }], resources: { cores: 1, memory: '256Mi' } },
        ...spec,
      } as never,
    });
  await clock.advance(minute);
  await api.patch(Host, { name: hostObjectName(clusterName, 'h2') }, { spec: { unschedulable: false } });
  expect(await told(lab)).toEqual(names.map((name) => `${name} Running on h1, attempt 1, alive on h1`));
  return lab;
}

/** Each machine in one line, with where it really lives. */
async function told({ world }: Lab): Promise<readonly string[]> {
  const { items } = await world.api.list(VirtualMachine, { namespace });
  return items
    .map(({ metadata, status }) => {
      const lives = world.hosts.filter(({ host }) => host.live().includes(metadata.uid));
      const where = lives.map(({ host }) => host.hostname).join(' and ') || 'no host';
      const { host, number } = status?.attempt ?? {};
      return `${metadata.name} ${status?.displayStatus} on ${host}, attempt ${number}, alive on ${where}`;
    })
    .toSorted();
}

async function ask({ world }: Lab, vm = 'a', timeout = '4m'): Promise<void> {
  const spec = { vm, type: 'Migrate', timeout } as never;
  await world.api.create(VMOperation, { apiVersion, kind: 'VMOperation', metadata: at('op'), spec });
}

const operation = async ({ world }: Lab) => (await world.api.get(VMOperation, at('op'))).status;
const machine = ({ world }: Lab, name = 'a') => world.api.get(VirtualMachine, at(name));

/** Looks ten times a second until it is so. */
async function until(lab: Lab, what: string, isSo: () => Promise<boolean> | boolean, limitMs = 5 * minute) {
  for (let ms = 0; !(await isSo()); ms += 100) {
    expect(ms, `Waits for ${what}`).toBeLessThan(limitMs);
    await lab.world.clock.advance(100);
  }
}

const sourceOf = ({ world }: Lab) => world.hosts[0]!;
const destinationOf = ({ world }: Lab) => world.hosts[1]!;
const isReceiving = (lab: Lab) =>
  destinationOf(lab)
    .host.domains.values()
    .some(({ receiving }) => receiving);
const isSent = (lab: Lab) =>
  sourceOf(lab)
    .host.domains.values()
    .some(({ sent }) => sent);

/** One life, nothing left where it is not, and nothing in Mesos that nobody has. */
async function settled(lab: Lab, expected: string): Promise<void> {
  const { world } = lab;
  await world.clock.advance(10 * minute);
  expect(await told(lab)).toEqual([expected]);
  const { metadata, status } = await machine(lab);
  expect(status?.migration).toBeUndefined();
  const others = world.hosts.filter(({ host }) => host.hostname !== status?.attempt?.host);
  for (const { host } of others)
    expect([host.domains.has(metadata.uid), host.disks.has(metadata.uid), host.nics.has(metadata.uid)]).toEqual([
      false,
      false,
      false,
    ]);
  const left = leftInMesos(world, [await machine(lab)]);
  await world.clock.advance(5_000);
  expect(await left).toEqual([]);
  expect(world.failures).toEqual([]);
}

test('an operation moves a machine as it runs: it boots once, and runs for its user all the time', async () => {
  using lab = await running(['a']);
  const { uid } = (await machine(lab)).metadata;
  const before = sourceOf(lab).host.domains.get(uid)!;
  await ask(lab);
  const seen = new Set<string>();
  await until(lab, 'the end of the operation', async () => {
    const vm = await machine(lab);
    seen.add(`${vm.status?.phase} ${vm.status?.displayStatus} ${conditionOf(vm, 'Ready')?.status}`);
    return (await operation(lab))?.phase === 'Completed';
  });
  expect([...seen].toSorted()).toEqual(['Running Migrating True', 'Running Running True']);
  const { spec: _, ...guest } = destinationOf(lab).host.domains.get(uid)!;
  expect(guest).toMatchObject({ power: 'On', boots: 1, bootedAt: before.bootedAt });
  expect(lab.starts.get(uid)).toBe(1);
  expect(lab.cuts.size).toBe(0);
  const { items } = await lab.world.api.list(Event, { namespace });
  const reasons = items
    .filter(({ involvedObject }) => involvedObject?.kind === 'VirtualMachine')
    .map(({ reason }) => reason);
  expect(reasons).toEqual(expect.arrayContaining(['Migrating', 'Migrated']));
  await settled(lab, 'a Running on h2, attempt 2, alive on h2');
  expect((await machine(lab)).status?.attempts).toMatchObject([{ number: 1, host: 'h1', outcome: 'Migrated' }]);
});

test('a drain moves those that want it, whatever protects them, and stops the others', async () => {
  using lab = await running(['a', 'b', 'c'], { evictionStrategy: 'LiveMigrateIfPossible' });
  const { api, clock } = lab.world;
  await api.patch(VirtualMachine, at('a'), { metadata: { annotations: { [annotations.scaleInProtection]: 'true' } } });
  await api.patch(VirtualMachine, at('c'), { spec: { evictionStrategy: 'None' } });
  const { uid } = (await machine(lab, 'c')).metadata;
  await api.patch(Host, { name: hostObjectName(clusterName, 'h1') }, { spec: { drain: { reason: 'new disks' } } });
  await clock.advance(4 * minute);
  expect(await told(lab)).toEqual([
    'a Running on h2, attempt 2, alive on h2',
    'b Running on h2, attempt 2, alive on h2',
    'c Running on h2, attempt 2, alive on h2',
  ]);
  expect([...lab.starts.values()].toSorted()).toEqual([1, 1, 2]);
  expect([...lab.cuts.keys()]).toEqual([uid]);
  const host = await api.get(Host, { name: hostObjectName(clusterName, 'h1') });
  expect(host.status).toMatchObject({ displayStatus: 'Drained', drain: { left: 0 } });
  expect(lab.world.failures).toEqual([]);
});

test('with nowhere to go the operation says so, and fails at its time', async () => {
  using lab = await running(['a']);
  await lab.world.api.patch(Host, { name: hostObjectName(clusterName, 'h2') }, { spec: { unschedulable: true } });
  await ask(lab);
  await lab.world.clock.advance(minute);
  expect(await operation(lab)).toMatchObject({
    phase: 'Pending',
    message: expect.stringMatching(/^lab: 2 hosts: 1 cordoned, 1 that cannot take it over as it runs$/),
  });
  await lab.world.clock.advance(4 * minute);
  expect(await operation(lab)).toMatchObject({
    phase: 'Failed',
    message: expect.stringMatching(/^Not begun within 4m: lab/),
  });
  await settled(lab, 'a Running on h1, attempt 1, alive on h1');
});

/** What is lost, and when: [what, once so, this, and where it lives then with which attempt and how often it was started]. */
type Loss = readonly [string, (lab: Lab) => boolean, (lab: Lab) => unknown, 'h1' | 'h2', number, number];
const cutOff = ({ world }: Lab) => {
  world.network.cut('h1', 'h2');
  world.network.cut('h2', 'h1');
  world.clock.timeout(() => world.network.heal(), 2 * minute);
};
const agentAway =
  (side: 0 | 1) =>
  ({ world }: Lab) => {
    world.hosts[side]!.killAgent();
    world.clock.timeout(() => world.hosts[side]!.startAgent(), minute);
  };
const powerOf =
  (side: 0 | 1) =>
  ({ world }: Lab) => {
    world.hosts[side]!.powerCut();
    world.clock.timeout(() => world.hosts[side]!.startAgent(), 10_000);
  };
const losses: readonly Loss[] = [
  ['the source’s power while it sends', isReceiving, powerOf(0), 'h1', 3, 2],
  ['the destination’s power while it receives', isReceiving, powerOf(1), 'h1', 1, 1],
  ['the source’s worker while it sends', isReceiving, (lab) => sourceOf(lab).killWorkers(), 'h1', 1, 1],
  ['the destination’s worker while it receives', isReceiving, (lab) => destinationOf(lab).killWorkers(), 'h1', 1, 1],
  ['the way between the hosts while it sends', isReceiving, cutOff, 'h2', 2, 1],
  ['the source’s worker once all was sent', isSent, (lab) => sourceOf(lab).killWorkers(), 'h2', 2, 1],
  ['the destination’s worker once all was sent', isSent, (lab) => destinationOf(lab).killWorkers(), 'h1', 1, 1],
  ['the way between the hosts once all was sent', isSent, cutOff, 'h2', 2, 1],
  ['the source’s agent while it sends', isReceiving, agentAway(0), 'h2', 2, 1],
  ['the destination’s agent once all was sent', isSent, agentAway(1), 'h2', 2, 1],
  ['the cluster server', isReceiving, ({ world }) => world.servers.forEach((life) => void life?.kill()), 'h2', 2, 1],
  ['the controllers', isReceiving, ({ world }) => world.controllers?.kill(), 'h2', 2, 1],
  ['the master', isReceiving, ({ world }) => world.elect(1), 'h2', 2, 1],
];
test('a machine whose source loses its power runs again long before the migration would be over', async () => {
  using lab = await running(['a']);
  await ask(lab);
  await until(lab, 'the moment', () => isReceiving(lab));
  powerOf(0)(lab);
  await until(lab, 'another start', async () => lab.starts.get((await machine(lab)).metadata.uid) === 2, minute);
  await settled(lab, 'a Running on h1, attempt 3, alive on h1');
});

test.each(losses)('%s is lost: it has one life', async (_, when, lose, host, attempt, starts) => {
  using lab = await running(['a']);
  const { uid } = (await machine(lab)).metadata;
  await ask(lab);
  await until(lab, 'the moment', () => when(lab));
  const removed = vi.spyOn(sourceOf(lab).host.disks, 'delete');
  lose(lab);
  await settled(lab, `a Running on ${host}, attempt ${attempt}, alive on ${host}`);
  expect(lab.starts.get(uid)).toBe(starts);
  expect((await operation(lab))?.phase).toBe(host === 'h2' ? 'Completed' : 'Failed');
  expect((await machine(lab)).status?.lastMigration?.outcome).toBe(host === 'h2' ? 'Completed' : 'Failed');
  // Also one that was started again has what it had written.
  expect(removed).toHaveBeenCalledTimes(host === 'h2' ? 1 : 0);
});

test('a machine that is deleted on its way goes, and leaves nothing', async () => {
  using lab = await running(['a']);
  const { uid } = (await machine(lab)).metadata;
  await ask(lab);
  await until(lab, 'the moment', () => isReceiving(lab));
  await lab.world.api.delete(VirtualMachine, at('a'));
  await lab.world.clock.advance(5 * minute);
  expect(await told(lab)).toEqual([]);
  for (const { host } of lab.world.hosts)
    expect([host.domains.has(uid), host.disks.has(uid), host.nics.has(uid)]).toEqual([false, false, false]);
  expect(lab.world.failures).toEqual([]);
});
