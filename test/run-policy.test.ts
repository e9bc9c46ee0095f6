/**
 * The matrix "run policy" of the published API, cell by cell, through everything that has a part in it: the controllers, the cluster server,
 * the local Mesos with its agents, the executors. Machines are imitated and time is virtual, which all cells need: a host that is lost or
 * drained, three crashes within ten minutes and back-offs of minutes are nothing that tests can have of a real one. What happens in a guest
 * is told by libvirt elsewhere: executor/hypervisor.suite.ts and executor/libvirt/driver.test.ts have real ones that turn themselves off, whose QEMU
 * is killed, whose power is cut and whose disk fails.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { Event } from '#lib/api/core.ts';
import { Host, VirtualMachine, VMOperation } from '#lib/api/generated/index.ts';
import { annotations, hostObjectName } from '#lib/api/names.ts';
import { clusterName, tenants } from './chaos/world.ts';
import { type Lab, openLab } from './quiet-lab.ts';

type Policy = VirtualMachine['spec']['runPolicy'];
const policies = ['Always', 'RerunOnFailure', 'Once', 'Manual', 'Halted'] as const satisfies readonly Policy[];

const apiVersion = 'computefactory.io/v1alpha1';
const [namespace] = tenants;
const nameOf = (policy: Policy) => policy.toLowerCase();

const relieve = ({ world: { api } }: Lab) =>
  api.patch(Host, { name: hostObjectName(clusterName, 'h2') }, { spec: { unschedulable: false } });

const machine = ({ world: { api } }: Lab, policy: Policy) =>
  api.get(VirtualMachine, { name: nameOf(policy), namespace });

async function order({ world: { api } }: Lab, policy: Policy, type: 'Start' | 'Stop' | 'Restart'): Promise<void> {
  const metadata = { name: `${nameOf(policy)}-${type.toLowerCase()}`, namespace };
  await api.create(VMOperation, {
    ...{ apiVersion, kind: 'VMOperation', metadata },
    spec: { vm: nameOf(policy), type } as VMOperation['spec'],
  });
}

async function outcomeOf({ world: { api } }: Lab, policy: Policy, type: string): Promise<string> {
  const { status } = await api.get(VMOperation, { name: `${nameOf(policy)}-${type.toLowerCase()}`, namespace });
  return `${status?.phase}: ${status?.message}`;
}

/** A machine of each policy, up and running; the one that is to be Halted runs under Always until then. */
async function runAll(lab: Lab, wanted: readonly Policy[] = policies, first?: Policy): Promise<void> {
  for (const policy of wanted) {
    const spec = { runPolicy: first ?? (policy === 'Halted' ? 'Always' : policy), image: { name: 'debian' } };
    await lab.world.api.create(VirtualMachine, {
      ...{ apiVersion, kind: 'VirtualMachine', metadata: { name: nameOf(policy), namespace } },
      spec: { ...spec, resources: { cores: 1, memory: '256Mi' } } as VirtualMachine['spec'],
    });
    if (spec.runPolicy === 'Manual') await order(lab, policy, 'Start');
  }
}

async function upAndRunning(wanted: readonly Policy[] = policies): Promise<Lab> {
  const lab = await openLab();
  await runAll(lab, wanted);
  await lab.world.clock.advance(60_000);
  for (const policy of wanted) expect(await told(lab, policy)).toBe('Running on h1, attempt 1, 1 start');
  return lab;
}

const halt = ({ world: { api } }: Lab, name: string) =>
  api.patch(VirtualMachine, { name, namespace }, { spec: { runPolicy: 'Halted' } });

/** What became of a machine, in one line. */
async function told(lab: Lab, policy: Policy): Promise<string> {
  const { metadata, status } = await machine(lab, policy);
  const { attempt, attempts = [], lastTermination, phase } = status ?? {};
  const number = attempt?.number ?? Math.max(...attempts.map((row) => row.number ?? 0));
  const starts = lab.starts.get(metadata.uid) ?? 0;
  const where = attempt ? `${phase} on ${attempt.host}` : phase;
  const why = phase === 'Running' ? '' : ` (${lastTermination?.reason ?? 'no termination'})`;
  return `${where}${why}, attempt ${number}, ${starts} ${starts === 1 ? 'start' : 'starts'}`;
}

async function guests(lab: Lab, what: 'Rebooted' | 'Shutdown' | 'Crashed', wanted: readonly Policy[] = policies) {
  for (const policy of wanted) {
    const { metadata } = await machine(lab, policy);
    lab.world.hosts[0]!.host.guest(metadata.uid, what);
  }
}

interface Row {
  readonly cause: string;
  /** Other than all. */
  readonly of?: readonly Policy[];
  readonly act: (lab: Lab) => Promise<void>;
  /** Virtual; two minutes unless told. */
  readonly waitMs?: number;
  readonly becomes: Readonly<Partial<Record<Policy, string>>>;
}

const running = 'Running on h1, attempt 1';
const inPlace = `${running}, 2 starts`;
const elsewhere = 'Running on h2, attempt 2, 2 starts';
const held = (reason: string) => `Stopped on h1 (${reason}), attempt 1, 1 start`;
const over = (phase: string, reason: string) => `${phase} (${reason}), attempt 1, 1 start`;
const runners = policies.filter((policy) => policy !== 'Halted');

const rows: readonly Row[] = [
  {
    cause: 'the guest reboots',
    of: runners,
    async act(lab) {
      const { clock, hosts } = lab.world;
      await guests(lab, 'Rebooted', runners);
      for (const policy of runners) {
        const { uid } = (await machine(lab, policy)).metadata;
        expect(hosts[0]!.host.domains.get(uid)?.bootedAt).toBe(clock.now());
      }
    },
    becomes: Object.fromEntries(runners.map((policy) => [policy, `${running}, 1 start`])),
  },
  {
    cause: 'the guest shuts itself down',
    async act(lab) {
      await halt(lab, 'halted');
      await guests(lab, 'Shutdown');
    },
    becomes: {
      Always: inPlace,
      RerunOnFailure: over('Succeeded', 'GuestShutdown'),
      Once: over('Succeeded', 'GuestShutdown'),
      Manual: held('GuestShutdown'),
      Halted: held('GuestShutdown'),
    },
  },
  {
    cause: 'the guest or its QEMU crashes',
    async act(lab) {
      await halt(lab, 'halted');
      await guests(lab, 'Crashed');
    },
    becomes: {
      Always: inPlace,
      RerunOnFailure: inPlace,
      Once: over('Failed', 'GuestCrashed'),
      Manual: held('GuestCrashed'),
      Halted: held('GuestCrashed'),
    },
  },
  {
    cause: 'the guest crashes three times within ten minutes',
    of: ['Always', 'RerunOnFailure'],
    async act(lab) {
      await relieve(lab);
      for (let crash = 0; crash < 3; crash++) {
        await guests(lab, 'Crashed', ['Always', 'RerunOnFailure']);
        await lab.world.clock.advance(30_000);
      }
    },
    becomes: { Always: 'attempt 2, 4 starts', RerunOnFailure: 'attempt 2, 4 starts' },
  },
  {
    cause: 'its host loses its power, and somebody vouches for that',
    async act(lab) {
      await halt(lab, 'halted');
      await lab.world.clock.advance(30_000);
      await relieve(lab);
      const [host] = lab.world.hosts;
      const dead = { [annotations.confirmedDead]: host!.host.bootId };
      host!.powerCut();
      await lab.world.api.patch(Host, { name: hostObjectName(clusterName, 'h1') }, { metadata: { annotations: dead } });
    },
    becomes: {
      Always: elsewhere,
      RerunOnFailure: elsewhere,
      Once: over('Failed', 'HostLost'),
      Manual: over('Stopped', 'HostLost'),
      Halted: over('Stopped', 'HostLost'),
    },
  },
  {
    cause: 'its host loses its power and is back at once',
    async act(lab) {
      await halt(lab, 'halted');
      await lab.world.clock.advance(30_000);
      const [host] = lab.world.hosts;
      host!.powerCut();
      await lab.world.clock.advance(2_000);
      host!.startAgent();
    },
    waitMs: 5 * 60_000,
    becomes: {
      // Another attempt, on the disk that is still there.
      Always: 'Running on h1, attempt 2, 2 starts',
      RerunOnFailure: 'Running on h1, attempt 2, 2 starts',
      Once: 'Failed (HostLost), attempt 2, 1 start',
      Manual: 'Stopped on h1 (HostLost), attempt 2, 1 start',
      Halted: 'Stopped on h1',
    },
  },
  {
    cause: 'its host is drained',
    async act(lab) {
      await halt(lab, 'halted');
      await lab.world.clock.advance(30_000);
      await relieve(lab);
      await drain(lab);
    },
    becomes: {
      Always: elsewhere,
      RerunOnFailure: elsewhere,
      Once: over('Failed', 'HostDrain'),
      Manual: over('Stopped', 'HostDrain'),
      Halted: over('Stopped', 'HostDrain'),
    },
  },
  {
    cause: 'an operation stops it',
    async act(lab) {
      await halt(lab, 'halted');
      await lab.world.clock.advance(30_000);
      for (const policy of policies) await order(lab, policy, 'Stop');
      await lab.world.clock.advance(60_000);
      expect(await outcomeOf(lab, 'Always', 'Stop')).toContain('set runPolicy: Halted or Manual');
      for (const policy of ['RerunOnFailure', 'Once', 'Manual', 'Halted'] as const)
        expect(await outcomeOf(lab, policy, 'Stop')).toMatch(/^Completed/);
      await order(lab, 'RerunOnFailure', 'Start');
    },
    becomes: {
      Always: `${running}, 1 start`,
      RerunOnFailure: inPlace,
      Once: over('Succeeded', 'StoppedByUser'),
      Manual: held('no termination'),
      Halted: held('no termination'),
    },
  },
  {
    cause: 'an operation restarts it',
    async act(lab) {
      await halt(lab, 'halted');
      await order(lab, 'Manual', 'Stop');
      await lab.world.clock.advance(30_000);
      expect(await told(lab, 'Manual')).toBe(held('no termination'));
      for (const policy of policies) await order(lab, policy, 'Restart');
      await lab.world.clock.advance(60_000);
      expect(await outcomeOf(lab, 'Halted', 'Restart')).toMatch(/^Failed/);
      for (const policy of runners) expect(await outcomeOf(lab, policy, 'Restart')).toMatch(/^Completed/);
    },
    becomes: {
      Always: inPlace,
      RerunOnFailure: inPlace,
      Once: inPlace,
      Manual: inPlace,
      Halted: held('no termination'),
    },
  },
  {
    cause: 'its spec is set to Halted',
    async act(lab) {
      for (const policy of policies) await halt(lab, nameOf(policy));
      await lab.world.clock.advance(60_000);
      for (const policy of policies) {
        const { metadata, status } = await machine(lab, policy);
        expect(new Set(lab.cuts.get(metadata.uid))).toEqual(new Set(['shutdown']));
        expect(status?.conditions).toContainEqual(
          expect.objectContaining({ type: 'Ready', status: 'True', reason: 'StoppedAsDeclared' }),
        );
      }
    },
    becomes: Object.fromEntries(policies.map((policy) => [policy, held('no termination')])),
  },
];

const drain = ({ world: { api } }: Lab) =>
  api.patch(Host, { name: hostObjectName(clusterName, 'h1') }, { spec: { drain: { markGone: false } } });

describe.each(rows)('$cause', ({ of, act, waitMs = 120_000, becomes }) => {
  let lines: Partial<Record<Policy, string>>;
  let failures: readonly unknown[];

  // All policies at once: a column of its own would be the same minutes again.
  beforeAll(async () => {
    using lab = await upAndRunning(of);
    await act(lab);
    await lab.world.clock.advance(waitMs);
    const wanted = Object.keys(becomes) as Policy[];
    lines = Object.fromEntries(await Promise.all(wanted.map(async (policy) => [policy, await told(lab, policy)])));
    failures = lab.world.failures;
  }, 60_000);

  test.each(Object.entries(becomes))('%s: %s', (policy, line) => {
    expect(lines[policy as Policy]).toContain(line);
    expect(failures).toEqual([]);
  });
});

test('a policy that is changed while the machine runs is in force at its next end', async () => {
  const changed = ['RerunOnFailure', 'Once', 'Manual'] as const;
  for (const [cause, after] of [
    ['Shutdown', [over('Succeeded', 'GuestShutdown'), over('Succeeded', 'GuestShutdown'), held('GuestShutdown')]],
    ['Crashed', [inPlace, over('Failed', 'GuestCrashed'), held('GuestCrashed')]],
  ] as const) {
    using lab = await openLab();
    await runAll(lab, changed, 'Always');
    await lab.world.clock.advance(60_000);
    for (const runPolicy of changed)
      await lab.world.api.patch(VirtualMachine, { name: nameOf(runPolicy), namespace }, { spec: { runPolicy } });
    await lab.world.clock.advance(10_000);
    await guests(lab, cause, changed);
    await lab.world.clock.advance(60_000);
    expect(await Promise.all(changed.map((policy) => told(lab, policy)))).toEqual(after);
  }
}, 60_000);

test('preempted before it was ever up, a machine that runs once is launched elsewhere', async () => {
  using lab = await openLab();
  lab.world.hosts[0]!.startDelayMs = 3_600_000;
  await runAll(lab, ['Once']);
  await lab.world.clock.advance(10_000);
  expect((await machine(lab, 'Once')).status).toMatchObject({ attempt: { host: 'h1' } });
  await relieve(lab);
  await drain(lab);
  await lab.world.clock.advance(120_000);
  expect(await told(lab, 'Once')).toBe('Running on h2, attempt 2, 1 start');
}, 60_000);

test('a guest that turns itself off again and again is started after 1, 2, 4 seconds', async () => {
  using lab = await upAndRunning(['Always']);
  const { uid } = (await machine(lab, 'Always')).metadata;
  for (const seconds of [1, 2, 4]) {
    const before = lab.starts.get(uid)!;
    await guests(lab, 'Shutdown', ['Always']);
    await lab.world.clock.advance(seconds * 1000 - 100);
    expect(lab.starts.get(uid)).toBe(before);
    await lab.world.clock.advance(1_000);
    expect(lab.starts.get(uid)).toBe(before + 1);
  }
}, 60_000);

test('a disk that fails is told by status and event, tried again every 30 s, and over once it is mended', async () => {
  using lab = await upAndRunning(['Always']);
  const { uid } = (await machine(lab, 'Always')).metadata;
  const { host } = lab.world.hosts[0]!;
  host.breakDisk(uid);
  await lab.world.clock.advance(5_000);
  const { status } = await machine(lab, 'Always');
  expect(status).toMatchObject({ phase: 'Paused', pausedReason: 'IOError', displayStatus: 'Paused (IOError)' });
  const events = (await lab.world.api.list(Event, { namespace })).items;
  expect(events).toContainEqual(expect.objectContaining({ reason: 'IOError', type: 'Warning' }));
  await lab.world.clock.advance(60_000);
  expect((await machine(lab, 'Always')).status).toMatchObject({ pausedReason: 'IOError' });
  host.mendDisk(uid);
  await lab.world.clock.advance(40_000);
  const after = await machine(lab, 'Always');
  expect(after.status).toMatchObject({ phase: 'Running', displayStatus: 'Running' });
  expect(after.status).not.toHaveProperty('pausedReason');
}, 60_000);

test('a machine that is paused is off once its spec says Halted', async () => {
  using lab = await upAndRunning(['Always']);
  const { uid } = (await machine(lab, 'Always')).metadata;
  lab.world.hosts[0]!.host.breakDisk(uid);
  await lab.world.clock.advance(5_000);
  await halt(lab, nameOf('Always'));
  await lab.world.clock.advance(30_000);
  expect(await told(lab, 'Always')).toBe(held('no termination'));
}, 60_000);
