/** Machines move from host to host as they run: the cluster server with imitated hosts, which say exactly what goes wrong. */
import { describe, expect, test } from 'vitest';
import { conditionOf } from '#lib/api/conditions.ts';
import { Host } from '#lib/api/generated/host.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { VMOperation } from '#lib/api/generated/vmoperation.ts';
import { migrationToken } from '#lib/api/host-endpoint.ts';
import { annotations } from '#lib/api/names.ts';
import type { FakeHost } from './testing/fake-mesos.ts';
import { api, running, type Story, story, until } from './testing/story.ts';

interface Two extends Story {
  readonly h1: FakeHost;
  readonly h2: FakeHost;
}

const capable = ({ mesos }: Story, name: string, cores = 16): FakeHost => {
  const host = mesos.addHost(name, cores, 65_536, { name });
  host.migrates = true;
  return host;
};

const hostIs = async (lab: Story, name: string, displayStatus: string) =>
  await until(async () =>
    expect((await lab.api.get(Host, { name: `lab-${name}` })).status).toMatchObject({ displayStatus }),
  );

/** Machines that run on h1, and a host h2 whose executor is heard: an old machine brought it there. */
async function twoHosts(names: readonly string[], spec: Partial<VirtualMachine['spec']> = {}): Promise<Two> {
  const lab = await story();
  const h1 = capable(lab, 'h1');
  lab.serve();
  for (const name of names) {
    await lab.want(name, 2);
    await lab.api.patch(VirtualMachine, at(name), { spec });
  }
  for (const name of names) await running(lab, name);
  const h2 = await addHost(lab, 'h2');
  return { ...lab, h1, h2 };
}

async function addHost(lab: Story, name: string): Promise<FakeHost> {
  const host = capable(lab, name);
  const vm = await lab.want(`old-${name}`, 2, { name });
  await running(lab, `old-${name}`);
  expect(host.domains.has(vm.metadata.uid)).toBe(true);
  await lab.api.delete(VirtualMachine, at(`old-${name}`));
  await until(async () => expect((await lab.machine(`old-${name}`)).status?.attempt).toBeUndefined());
  return host;
}

const at = (name: string) => ({ name, namespace: 'default' });

async function ask(lab: Story, vm: VirtualMachine, name = 'op', timeout = '5m'): Promise<VMOperation> {
  const operation = await lab.api.create(VMOperation, {
    ...{ apiVersion: api, kind: 'VMOperation', metadata: at(name) },
    spec: { vm: vm.metadata.name, type: 'Migrate', force: false, timeout, ttlSecondsAfterFinished: 60 },
  });
  // As the vmoperation controller does it.
  const status = { phase: 'Pending', vmUID: vm.metadata.uid, cluster: 'lab', message: 'Accepted' } as const;
  return await lab.api.updateStatus(VMOperation, { ...operation, status });
}

const operation = async (lab: Story, name = 'op') => (await lab.api.get(VMOperation, at(name))).status;
const ends = async (lab: Story, phase: string, message: RegExp, name = 'op') =>
  await until(async () =>
    expect(await operation(lab, name)).toMatchObject({ phase, message: expect.stringMatching(message) }),
  );

const onlyOn = (lab: Two, uid: string, host: FakeHost) => {
  expect(lab.mesos.hosts.filter(({ domains }) => domains.has(uid)).map(({ hostname }) => hostname)).toEqual([
    host.hostname,
  ]);
  expect(lab.mesos.starts.get(uid)).toEqual(['h1']);
};

const moving = async (lab: Story, name = 'a') =>
  await until(async () => expect((await lab.machine(name)).status?.migration).toBeDefined());

describe('an operation', () => {
  test('moves a machine as it runs, and says so; its user sees it run all the time', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.movesAtOnce = false;
    const vm = await lab.machine('a');
    const { uid } = vm.metadata;
    await ask(lab, vm);
    await until(() => expect(lab.h1.guests.get(uid)?.migration?.state).toBe('Sending'));
    const order = lab.mesos.messages.find(({ type }) => type === 'migrate');
    const { migration } = (await lab.machine('a')).status!;
    expect(order).toMatchObject({
      ...{ id: migration?.id, uid, attempt: 1 },
      to: {
        ...{ hostname: 'h2', url: 'https://h2:1', certificateSha256: 'c'.repeat(64) },
        token: migrationToken(`secret-${lab.h2.bootId}`, uid, migration!.id),
      },
    });
    await until(async () => {
      const now = await lab.machine('a');
      expect(now.status).toMatchObject({ phase: 'Running', displayStatus: 'Migrating', attempt: { host: 'h1' } });
      expect(conditionOf(now, 'Migrating')).toMatchObject({
        status: 'True',
        message: 'It is sent to host h2 while it runs',
      });
      expect(conditionOf(now, 'Ready')).toMatchObject({ status: 'True' });
      expect(await operation(lab)).toMatchObject({ phase: 'InProgress', message: 'Moves from host h1 to host h2' });
    });
    lab.mesos.handOver(lab.h1, lab.h2, uid);
    await ends(lab, 'Completed', /^Moved to host h2 as it ran$/);
    expect((await lab.machine('a')).status).toMatchObject({
      ...{ phase: 'Running', displayStatus: 'Running', attempt: { number: 2, host: 'h2', taskID: `vm-${uid}-2` } },
      attempts: [{ number: 1, host: 'h1', outcome: 'Migrated' }],
    });
    onlyOn(lab, uid, lab.h2);
    await until(() => expect([...lab.h1.tasks.keys()]).toEqual([]));
    expect(lab.mesos.calls('KILL')).toHaveLength(1);
  }, 20_000);

  test('that the destination refuses fails with its words: the machine goes on, and the next one moves it under a new number', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.movesAtOnce = false;
    const vm = await lab.machine('a');
    const { uid } = vm.metadata;
    await ask(lab, vm);
    await until(() => expect(lab.h1.guests.get(uid)?.migration?.state).toBe('Sending'));
    const { id } = lab.h1.guests.get(uid)!.migration!;
    lab.mesos.saysOfMove(lab.h1, uid, { id, state: 'Undecided', message: '' });
    lab.mesos.refuse(lab.h2, uid);
    await ends(lab, 'Failed', /Not moved to host h2: The memory did not come in time/);
    // The guest stands until the source is told.
    await until(() => expect(lab.h1.guests.get(uid)?.migration?.state).toBe('Failed'));
    const told = lab.mesos.messages.filter(({ type }) => type === 'migration-end');
    expect(told).toContainEqual(expect.objectContaining({ id, uid, gone: true }));
    expect((await lab.machine('a')).status).toMatchObject({ phase: 'Running', attempt: { number: 1, host: 'h1' } });
    onlyOn(lab, uid, lab.h1);
    lab.mesos.movesAtOnce = true;
    const { status } = await lab.machine('a');
    const lastMigration = { ...status!.lastMigration!, ended: '2020-01-01T00:00:00Z' };
    await lab.api.updateStatus(VirtualMachine, { ...(await lab.machine('a')), status: { ...status, lastMigration } });
    await ask(lab, vm, 'again');
    await ends(lab, 'Completed', /h2/, 'again');
    expect((await lab.machine('a')).status?.attempt).toMatchObject({ number: 3, host: 'h2' });
    onlyOn(lab, uid, lab.h2);
  }, 20_000);

  test('waits for a host that can take it, and says for what; one of another kind does not count', async () => {
    const lab = await story();
    capable(lab, 'h1');
    lab.serve();
    await lab.want('a', 2);
    const vm = await running(lab, 'a');
    await ask(lab, vm);
    await ends(lab, 'Pending', /^lab: 1 host: 1 that cannot take it over as it runs$/);
    const h2 = lab.mesos.addHost('h2', 16, 65_536, { name: 'h2' });
    await lab.want('other', 2, { name: 'h2' });
    await running(lab, 'other');
    expect(h2.executor).toBeDefined();
    await lab.api.delete(VirtualMachine, at('other'));
    await ends(lab, 'Pending', /2 that cannot take it over as it runs/);
    await addHost(lab, 'h3');
    await ends(lab, 'Completed', /h3/);
  }, 20_000);

  test('goes to a host that had no machine yet: an executor is started there first', async () => {
    const lab = await story();
    capable(lab, 'h1');
    lab.serve();
    await lab.want('a', 2);
    const vm = await running(lab, 'a');
    const h2 = capable(lab, 'h2');
    await ask(lab, vm);
    await ends(lab, 'Completed', /h2/);
    expect(h2.domains.has(vm.metadata.uid)).toBe(true);
  }, 20_000);

  test('fails where the host cannot hand machines over', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8, 16_384);
    lab.serve();
    await lab.want('a', 2);
    await ask(lab, await running(lab, 'a'));
    await ends(lab, 'Failed', /Host h1 cannot hand over machines that run/);
  }, 20_000);

  test('is not done in time: both hosts are told, and the machine goes on', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.movesAtOnce = false;
    const vm = await lab.machine('a');
    await ask(lab, vm, 'op', '2s');
    await ends(lab, 'Failed', /It was not on host h2 by/);
    onlyOn(lab, vm.metadata.uid, lab.h1);
    expect(lab.h2.receiving.size).toBe(0);
    expect((await lab.machine('a')).status).toMatchObject({ displayStatus: 'Running', attempt: { number: 1 } });
  }, 20_000);

  test('that is deleted meanwhile is given up', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.movesAtOnce = false;
    const vm = await lab.machine('a');
    await ask(lab, vm);
    await moving(lab);
    await lab.api.delete(VMOperation, at('op'));
    await until(async () =>
      expect((await lab.machine('a')).status?.lastMigration).toMatchObject({
        outcome: 'Failed',
        message: 'The operation that asked for it is gone, or was given up',
      }),
    );
    onlyOn(lab, vm.metadata.uid, lab.h1);
  }, 20_000);
});

describe('a machine on its way', () => {
  test('that is deleted is told to stay, and killed: nothing of it is left', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.movesAtOnce = false;
    const vm = await lab.machine('a');
    await ask(lab, vm);
    await until(() => expect(lab.h1.guests.get(vm.metadata.uid)?.migration?.state).toBe('Sending'));
    await lab.api.delete(VirtualMachine, at('a'));
    await until(async () => expect((await lab.machine('a')).status?.attempt).toBeUndefined());
    const { status } = await lab.machine('a');
    expect(status?.migration).toBeUndefined();
    await until(() => {
      for (const { domains, receiving, tasks } of [lab.h1, lab.h2])
        expect([domains.size, receiving.size, tasks.size]).toEqual([0, 0, 0]);
    });
  }, 20_000);

  test('that arrived although it was given up runs where it arrived', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.movesAtOnce = false;
    const { metadata } = await lab.machine('a');
    await ask(lab, await lab.machine('a'));
    await until(() => expect(lab.h1.guests.get(metadata.uid)?.migration?.state).toBe('Sending'));
    lab.mesos.partition(lab.h2);
    lab.mesos.handOver(lab.h1, lab.h2, metadata.uid);
    await until(async () => expect((await lab.machine('a')).status?.attempt?.host).toBe('h2'));
    lab.mesos.heal(lab.h2);
    await until(async () =>
      expect((await lab.machine('a')).status).toMatchObject({ phase: 'Running', attempt: { number: 2 } }),
    );
    onlyOn(lab, metadata.uid, lab.h2);
  }, 20_000);

  test('keeps both its places when the cluster server is killed, and arrives', async () => {
    const lab = await story();
    const h1 = capable(lab, 'h1');
    const first = lab.serve({ periodMs: 50, taskGraceMs: 100, domainGraceMs: 100 });
    await lab.want('a', 2);
    const { metadata } = await running(lab, 'a');
    const h2 = await addHost(lab, 'h2');
    lab.mesos.movesAtOnce = false;
    await ask(lab, await lab.machine('a'));
    await until(() => expect(h1.guests.get(metadata.uid)?.migration?.state).toBe('Sending'));
    await first[Symbol.asyncDispose]();
    lab.serve({ periodMs: 50, taskGraceMs: 100, domainGraceMs: 100 });
    // Looked at for orphans many times by then.
    await lab.want('b', 2);
    await running(lab, 'b');
    await until(async () =>
      expect(conditionOf(await lab.machine('a'), 'Migrating')).toMatchObject({
        message: 'It is sent to host h2 while it runs',
      }),
    );
    lab.mesos.handOver(h1, h2, metadata.uid);
    await ends(lab, 'Completed', /h2/);
    onlyOn({ ...lab, h1, h2 }, metadata.uid, h2);
  }, 20_000);

  test('whose launch at the destination was lost stays where it is', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.loseAccepts = true;
    await ask(lab, await lab.machine('a'));
    await moving(lab);
    lab.mesos.loseAccepts = false;
    lab.mesos.dropSession();
    await ends(lab, 'Failed', /Nothing of it is on host h2 \(InventoryLacksIt\)/);
    onlyOn(lab, (await lab.machine('a')).metadata.uid, lab.h1);
  }, 20_000);

  test('whose source dies is launched again only once the destination has given it up', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.movesAtOnce = false;
    const { metadata } = await lab.machine('a');
    await ask(lab, await lab.machine('a'));
    await until(() => expect(lab.h1.guests.get(metadata.uid)?.migration?.state).toBe('Sending'));
    const { bootId } = lab.h1;
    lab.mesos.partition(lab.h1);
    await lab.api.patch(
      Host,
      { name: 'lab-h1' },
      { metadata: { annotations: { [annotations.confirmedDead]: bootId } } },
    );
    await until(async () =>
      expect((await lab.machine('a')).status).toMatchObject({
        lastMigration: { number: 2, outcome: 'Failed', message: expect.stringContaining('gone from host h1') },
        attempts: [{ number: 1, host: 'h1', class: 'Infrastructure', proof: 'ConfirmedDead' }],
      }),
    );
    expect((await lab.machine('a')).status?.attempt).toBeUndefined();
    await ends(lab, 'Failed', /gone from host h1/);
    expect(lab.h2.receiving.size).toBe(0);
    expect(lab.mesos.starts.get(metadata.uid)).toEqual(['h1']);
  }, 20_000);
});

describe('a drain', () => {
  const spec = { evictionStrategy: 'LiveMigrateIfPossible' } as const;
  const drain = async ({ api }: Story, host = 'h1') =>
    await api.patch(Host, { name: `lab-${host}` }, { spec: { drain: { reason: 'new disks', markGone: false } } });

  test('moves the machines that want it, whatever protects them, and kills none', async () => {
    const lab = await twoHosts(['a', 'b', 'c'], spec);
    const kills = lab.mesos.calls('KILL').length;
    await lab.api.patch(VirtualMachine, at('a'), {
      metadata: { annotations: { [annotations.scaleInProtection]: 'true' } },
    });
    await drain(lab);
    for (const name of ['a', 'b', 'c']) {
      await until(async () =>
        expect((await lab.machine(name)).status?.attempt).toMatchObject({ number: 2, host: 'h2' }),
      );
      onlyOn(lab, (await lab.machine(name)).metadata.uid, lab.h2);
    }
    await hostIs(lab, 'h1', 'Drained');
    expect(lab.mesos.calls('KILL')).toHaveLength(kills);
    expect(conditionOf(await lab.machine('a'), 'Draining')).toMatchObject({ status: 'False' });
  }, 30_000);

  test('moves no more than two at a time away from a host', async () => {
    const lab = await twoHosts(['a', 'b', 'c'], spec);
    await addHost(lab, 'h3');
    lab.mesos.movesAtOnce = false;
    await drain(lab);
    const sending = () => [...lab.h1.guests.values()].filter(({ migration }) => migration?.state === 'Sending').length;
    await until(() => expect(sending()).toBe(2));
    // By then the third was looked at again and again.
    await lab.want('later', 2);
    await running(lab, 'later');
    const open = await Promise.all(['a', 'b', 'c'].map(async (name) => (await lab.machine(name)).status?.migration));
    expect(open.filter((one) => one !== undefined)).toHaveLength(2);
  }, 30_000);

  test.each([
    ['does not want it', {}, {}],
    [
      'was tried three times',
      spec,
      {
        lastMigration: {
          id: 'm',
          number: 4,
          from: 1,
          outcome: 'Failed',
          failures: 3,
          host: 'h2',
          ended: '2026-01-01T00:00:00Z',
        },
      },
    ],
    [
      'has a volume',
      spec,
      {
        volumes: [
          { name: 'data', volume: 'data', uid: 'v', type: 'SharedFilesystem', glusterVolume: 'g', size: '1Gi' },
        ],
      },
    ],
  ] as const)(
    'stops a machine that %s',
    async (_, given, status) => {
      const lab = await twoHosts(['a'], given);
      const vm = await lab.machine('a');
      await lab.api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, ...status } as never });
      await drain(lab);
      await until(async () => expect((await lab.machine('a')).status?.attempt).toBeUndefined());
      expect((await lab.machine('a')).status?.attempts).toMatchObject([{ number: 1, class: 'Preempted' }]);
      expect(lab.mesos.messages.filter(({ type }) => type === 'migrate')).toEqual([]);
    },
    20_000,
  );
});
