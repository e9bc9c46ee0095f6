import { describe, expect, test } from 'vitest';
import { conditionOf } from '#lib/api/conditions.ts';
import { Cluster } from '#lib/api/generated/cluster.ts';
import { Host } from '#lib/api/generated/host.ts';
import { Image } from '#lib/api/generated/image.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { KubeObject } from '#lib/api/meta.ts';
import { annotations } from '#lib/api/names.ts';
import { systemClock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { OrphanOptions } from './orphans.ts';
import { runClusterServer } from './server.ts';
import { FakeMesos } from './testing/fake-mesos.ts';
import { api, open, patient, running, type Story, serve, story, until } from './testing/story.ts';

describe('placing and running', () => {
  test('a machine runs, with few writes, under a framework id that was stored first', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8, 16_384, { rack: 'r1' });
    const before = await lab.want('a', 4);
    lab.serve();
    const vm = await running(lab, 'a');
    expect(vm.status).toMatchObject({
      displayStatus: 'Running',
      power: 'On',
      attempt: { number: 1, cluster: 'lab', host: 'h1', adopted: false, taskID: `vm-${before.metadata.uid}-1` },
    });
    expect(vm.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Ready', status: 'True', reason: 'Running' }),
    );
    const cluster = await lab.api.get(Cluster, { name: 'lab' });
    expect(lab.mesos.calls('SUBSCRIBE').find((call) => 'subscribe' in call)).toMatchObject({
      framework_id: { value: cluster.status?.frameworkID },
    });
    // Launched again or not, the record of it is kept for as long as its uid lives.
    expect(lab.mesos.starts.get(vm.metadata.uid)).toEqual(['h1']);
  });

  test('what an executor hears of a guest is in the status of its machine with the next heartbeat', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 8, 16_384, {});
    await lab.want('a', 2, {});
    lab.serve();
    // Said with the first report: from then on it takes a change in one to have the machine looked at.
    await until(async () => expect(conditionOf(await lab.machine('a'), 'Emulated')).toBeDefined());
    for (let beat = 0; beat < 3; beat++) lab.mesos.heartbeat(host);
    await lab.want('b', 2, {});
    await running(lab, 'b');
    const { uid } = (await lab.machine('a')).metadata;
    host.guests.set(uid, { agent: { connected: true, version: '7.2', os: 'Debian 12', addresses: [] } });
    lab.mesos.heartbeat(host);
    await until(async () => {
      const vm = await lab.machine('a');
      expect(conditionOf(vm, 'GuestAgentConnected')).toMatchObject({ status: 'True', reason: 'AgentPing' });
      expect(vm.status).toMatchObject({ guestAgent: { version: '7.2' }, osInfo: { name: 'Debian 12' } });
    });
  });

  test('a host without KVM and the machines on it say so, and heartbeats that say it again are not written', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 8, 16_384, { rack: 'r1' });
    lab.mesos.addHost('h2', 8, 16_384, { rack: 'r2' });
    await lab.want('a', 4, { rack: 'r1' });
    lab.serve();
    const emulation = async () => conditionOf(await lab.machine('a'), 'Emulated');
    const noKvm = { status: 'True', reason: 'NoKVM' };
    await until(async () => expect(await emulation()).toMatchObject(noKvm));
    const read = () => lab.api.get(Host, { name: 'lab-h1' });
    await until(async () => {
      const object = await read();
      expect(conditionOf(object, 'KVMAvailable')).toMatchObject({ status: 'False', reason: 'NoKVM' });
      expect(object.status).toMatchObject({ vms: 1, facts: { kvm: false } });
    });
    const versions = async () => [await lab.machine('a'), await read()].map(({ metadata }) => metadata.resourceVersion);
    const before = await versions();
    for (let beat = 0; beat < 50; beat++) lab.mesos.heartbeat(host);
    // Whatever they cause was decided before a machine that was asked for after them runs elsewhere.
    await lab.want('b', 4, { rack: 'r2' });
    await running(lab, 'b');
    expect(await versions()).toEqual(before);
  }, 20_000);

  test('several machines of one host go in one ACCEPT; a full cluster says why, and new room is used', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8.5, 65_536);
    for (const name of ['a', 'b', 'c']) await lab.want(name, 4);
    lab.serve();
    await running(lab, 'a');
    await running(lab, 'b');
    expect(lab.mesos.calls('ACCEPT')).toHaveLength(1);
    await until(async () => {
      const scheduled = (await lab.machine('c')).status?.conditions?.find(({ type }) => type === 'Scheduled');
      expect(scheduled).toMatchObject({ status: 'False', reason: 'InsufficientCores' });
      expect(scheduled?.message).toBe('lab: 1 host: 1 short of cores (largest free 0)');
    });
    lab.mesos.addHost('h2', 8.5, 65_536);
    expect((await running(lab, 'c')).status?.attempt?.host).toBe('h2');
  }, 20_000);

  test('a selector is honoured', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8, 65_536, { rack: 'r1' });
    lab.mesos.addHost('h2', 64, 65_536, { rack: 'r2' });
    await lab.want('a', 2, { rack: 'r2' });
    lab.serve();
    expect((await running(lab, 'a')).status?.attempt?.host).toBe('h2');
  });

  test('hosts and the cluster read as they are', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8.5, 16_384, { rack: 'r1' });
    await lab.want('a', 4);
    lab.serve();
    await running(lab, 'a');
    await until(async () => {
      const { status } = await lab.api.get(Host, { name: 'lab-h1' });
      expect(status).toMatchObject({
        agentID: 'S0',
        vms: 1,
        labels: { rack: 'r1' },
        capacity: { cores: 8 },
        used: { cores: 4 },
      });
      const cluster = await lab.api.get(Cluster, { name: 'lab' });
      expect(cluster.status).toMatchObject({
        hosts: { total: 1, ready: 1 },
        capacity: { cores: 8 },
        used: { cores: 4 },
      });
      expect(cluster.status?.free).toEqual([expect.objectContaining({ cores: 4, hosts: 1, labels: { rack: 'r1' } })]);
      expect(cluster.status?.version).toBe('1.12.0');
    });
  });
});

describe('ends', () => {
  test('a deleted machine is killed until its end is proven, and its attempt closed with the proof', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 8, 16_384);
    await lab.want('a', 4);
    lab.serve();
    const { metadata } = await running(lab, 'a');
    await lab.api.delete(VirtualMachine, { name: 'a', namespace: 'default' });
    await until(async () => {
      const { status } = await lab.machine('a');
      expect(status?.attempt).toBeUndefined();
      expect(status?.attempts?.at(-1)).toMatchObject({ number: 1, proof: 'ExecutorSawNoDomain', class: 'User' });
    });
    expect(host.domains.has(metadata.uid)).toBe(false);
  });

  test('an ACCEPT that was lost is found out and made good on the same host, as the same attempt', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8, 16_384);
    lab.mesos.loseAccepts = true;
    await lab.want('a', 4);
    lab.serve();
    await until(() => expect(lab.mesos.calls('ACCEPT')).toHaveLength(1));
    lab.mesos.loseAccepts = false;
    lab.mesos.dropSession();
    const vm = await running(lab, 'a');
    expect(vm.status?.attempt).toMatchObject({ number: 1, sends: 2 });
    expect(lab.mesos.starts.get(vm.metadata.uid)).toHaveLength(1);
  }, 20_000);

  test('an attempt that is closed in the very moment in which it is to be sent once more is not sent', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 8, 16_384);
    lab.mesos.loseAccepts = true;
    const { metadata } = await lab.want('a', 4);
    const update = lab.api.updateStatus;
    const closing: typeof update = async (kind, object, options) => {
      const { attempt, ...status } = (object as unknown as VirtualMachine).status ?? {};
      // As when the inventory of its host comes just then, and lacks it.
      if (attempt?.sends === 2) {
        const attempts = [{ number: 1, outcome: 'Failed', proof: 'InventoryLacksIt' }] as const;
        await update(VirtualMachine, {
          ...(await lab.machine('a')),
          status: { ...status, phase: 'Scheduling', attempts },
        });
      }
      return await update(kind, object, options);
    };
    Object.assign(lab.api, { updateStatus: closing });
    lab.serve();
    await until(() => expect(lab.mesos.calls('ACCEPT')).toHaveLength(1));
    lab.mesos.loseAccepts = false;
    lab.mesos.dropSession();
    const vm = await running(lab, 'a');
    expect(vm.status?.attempt?.number).toBe(2);
    expect(lab.mesos.starts.get(metadata.uid)).toHaveLength(1);
    expect([...host.tasks.keys()]).toEqual([vm.status?.attempt?.taskID]);
  }, 20_000);
});

describe('one machine, one life', () => {
  test('where the master counts an executor that the agent does not have, launches go with another one', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 8.5, 16_384);
    await lab.want('a', 2);
    lab.serve();
    const { metadata } = await running(lab, 'a');
    const before = host.executor!.executorId;
    host.missingExecutor = before;
    lab.mesos.loseExecutor(host);
    await until(async () => {
      expect((await lab.machine('a')).status).toMatchObject({ phase: 'Running', attempt: { adopted: true } });
    });
    expect(host.executor?.executorId).toBe(`${before}-2`);
    expect(lab.mesos.starts.get(metadata.uid)).toEqual(['h1']);
    await lab.want('b', 2);
    await running(lab, 'b');
    expect(host.executor?.executorId).toBe(`${before}-2`);
  }, 20_000);

  test('machines whose executor is lost are adopted where they run', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    lab.mesos.addHost('h2', 16, 65_536);
    lab.serve();
    await lab.want('a', 4);
    await lab.want('b', 4);
    const [a, b] = [await running(lab, 'a'), await running(lab, 'b')];
    const lost = lab.mesos.hosts.find(({ domains }) => domains.has(a.metadata.uid))!;
    lab.mesos.loseExecutor(lost);
    await until(async () =>
      expect((await lab.machine('a')).status?.attempt).toMatchObject({ number: 2, adopted: true }),
    );
    const again = await running(lab, 'a');
    await running(lab, 'b');
    expect(again.status?.attempt?.host).toBe(a.status?.attempt?.host);
    expect(again.status?.attempts?.at(-1)).toMatchObject({ number: 1, outcome: 'Adopted' });
    for (const vm of [a, b]) expect(lab.mesos.starts.get(vm.metadata.uid)).toHaveLength(1);
    expect(host.domains.size + lab.mesos.hosts[1]!.domains.size).toBe(2);
  }, 20_000);

  test('of an executor that ended while its agent was down its tasks tell: adopted long before it would count as silent', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    await lab.want('a', 4);
    lab.serve();
    const { metadata } = await running(lab, 'a');
    await until(async () =>
      expect((await lab.api.get(Host, { name: 'lab-h1' })).status?.executor?.since).toBeDefined(),
    );
    lab.mesos.loseExecutor(host, true);
    await until(async () =>
      expect((await lab.machine('a')).status).toMatchObject({
        phase: 'Running',
        attempt: { number: 2, adopted: true },
      }),
    );
    expect(lab.mesos.starts.get(metadata.uid)).toHaveLength(1);
  }, 20_000);

  test('a machine that is deleted while its executor is lost is adopted, then killed', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    await lab.want('a', 4);
    lab.serve();
    await running(lab, 'a');
    lab.mesos.loseKills = true;
    await lab.api.delete(VirtualMachine, { name: 'a', namespace: 'default' });
    lab.mesos.loseExecutor(host);
    lab.mesos.loseKills = false;
    await until(async () => expect((await lab.machine('a')).status?.attempt).toBeUndefined());
    expect(host.domains.size).toBe(0);
  }, 20_000);

  test('after a reboot of its host nothing is there to adopt: proof, and free for another launch', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    await lab.want('a', 4);
    lab.serve();
    await running(lab, 'a');
    lab.mesos.reboot(host);
    lab.mesos.dropSession();
    await until(async () => {
      const { status } = await lab.machine('a');
      expect(status?.attempt).toBeUndefined();
      expect(status?.lastTermination?.class).toBe('Infrastructure');
    });
  }, 20_000);

  test('a restarted cluster server finds its machines as they were and launches nothing twice', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 16, 65_536);
    await lab.want('a', 4);
    const first = lab.serve();
    const before = await running(lab, 'a');
    open.splice(open.indexOf(first), 1);
    await first[Symbol.asyncDispose]();
    lab.serve();
    await lab.want('b', 4);
    await running(lab, 'b');
    expect((await lab.machine('a')).status?.attempt).toEqual(before.status?.attempt);
    expect(lab.mesos.starts.get(before.metadata.uid)).toHaveLength(1);
  }, 20_000);
});

test('a restarted cluster server does not call a host unready before its executor could be heard', async () => {
  const lab = await story();
  const host = lab.mesos.addHost('h1', 16, 65_536);
  await lab.want('a', 4);
  const first = lab.serve();
  await running(lab, 'a');
  const read = () => lab.api.get(Host, { name: 'lab-h1' });
  await until(async () =>
    expect((await read()).status).toMatchObject({
      displayStatus: 'Ready',
      executor: { version: '2', supervisor: '1' },
      vms: 1,
    }),
  );
  open.splice(open.indexOf(first), 1);
  await first[Symbol.asyncDispose]();
  const before = await read();
  const heard: (string | undefined)[] = [];
  const over = new AbortController();
  const hearing = (async () => {
    const from = { resourceVersion: before.metadata.resourceVersion, signal: over.signal };
    for await (const event of lab.api.watch(Host, from))
      if (event.type === 'MODIFIED' && event.object.metadata.name === 'lab-h1')
        heard.push(event.object.status?.displayStatus);
  })().catch(() => undefined);
  lab.mesos.addHost('h2', 16, 65_536);
  lab.serve();
  await lab.want('b', 4);
  expect((await running(lab, 'b')).status?.attempt?.host).toBe('h2');
  lab.mesos.heartbeat(host, true);
  await lab.want('c', 10);
  await lab.want('d', 10);
  await running(lab, 'c');
  await running(lab, 'd');
  over.abort();
  await hearing;
  expect(heard.filter((word) => word !== 'Ready')).toEqual([]);
}, 30_000);

const impatient: OrphanOptions = { periodMs: 50, taskGraceMs: 300, domainGraceMs: 300 };

test('what the spec asks of a running machine is asked again, since Mesos may lose a message', async () => {
  const lab = await story();
  lab.mesos.addHost('h1', 16, 65_536);
  await lab.want('a', 4);
  lab.serve();
  await running(lab, 'a');
  await lab.api.patch(VirtualMachine, { name: 'a', namespace: 'default' }, { spec: { runPolicy: 'Halted' } });
  const orders = () => lab.mesos.messages.flatMap((message) => (message.type === 'operation' ? message.id : []));
  await until(() => expect(orders().length).toBeGreaterThan(1));
  expect(new Set(orders()).size).toBe(1);
}, 20_000);

describe('machines that several clusters could run', () => {
  const move = (lab: Story, name: string, cluster: string | null) =>
    lab.api.patch(VirtualMachine, { name, namespace: 'default' }, { spec: { placement: { cluster } } });

  test('one that is to run elsewhere stays its cluster’s until its attempt is proven gone, and is not launched again', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    await lab.want('a', 4);
    await lab.want('elsewhere', 4);
    await move(lab, 'elsewhere', 'annex');
    lab.serve(impatient);
    const { metadata } = await running(lab, 'a');
    for (const cluster of ['annex', 'lab', null, 'annex']) await move(lab, 'a', cluster);
    // Passed by the watches and by several looks for orphans.
    await lab.want('b', 4);
    await running(lab, 'b');
    await expect.poll(async () => (await lab.machine('b')).status?.power, patient).toBe('On');
    expect(lab.mesos.calls('KILL')).toEqual([]);
    expect(host.domains.has(metadata.uid)).toBe(true);
    await lab.api.delete(VirtualMachine, { name: 'a', namespace: 'default' });
    await until(async () => {
      const { status } = await lab.machine('a');
      expect(status?.attempt).toBeUndefined();
      expect(status?.attempts).toMatchObject([{ outcome: 'Killed', proof: 'ExecutorSawNoDomain' }]);
    });
    expect(lab.mesos.starts.get(metadata.uid)).toHaveLength(1);
    expect((await lab.machine('elsewhere')).status?.conditions).toEqual([]);
  }, 20_000);

  test('of two cluster servers one takes a machine, and the other one knows nothing of it any more', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 16, 65_536);
    const annex = await FakeMesos.start();
    open.push(annex);
    annex.addHost('x1', 16, 65_536);
    const { spec } = await lab.api.get(Cluster, { name: 'lab' });
    await lab.api.create(Cluster, {
      ...{ apiVersion: api, kind: 'Cluster', metadata: { name: 'annex' } },
      spec: { ...spec, masters: [annex.origin] },
    });
    lab.serve(impatient);
    open.push(serve(lab.api, impatient, 'annex'));
    for (const name of ['a', 'b', 'c', 'd']) await lab.want(name, 4);
    for (const name of ['a', 'b', 'c', 'd']) {
      const { metadata, status } = await running(lab, name);
      const [mine, other] = status?.attempt?.cluster === 'lab' ? [lab.mesos, annex] : [annex, lab.mesos];
      expect([mine, other].map(({ starts }) => starts.get(metadata.uid)?.length)).toEqual([1, undefined]);
    }
    expect([...lab.mesos.calls('KILL'), ...annex.calls('KILL')]).toEqual([]);
  }, 20_000);
});

describe('what belongs to no machine', () => {
  test('a task whose machine is gone from the store is killed, and its domain with it; others are left alone', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 16, 65_536);
    await lab.want('a', 4);
    await lab.want('b', 4);
    const first = lab.serve();
    const [a, b] = [await running(lab, 'a'), await running(lab, 'b')];
    open.splice(open.indexOf(first), 1);
    await first[Symbol.asyncDispose]();
    // Somebody takes the finalizer off by force while nobody looks.
    await lab.api.patch(VirtualMachine, { name: 'a', namespace: 'default' }, { metadata: { finalizers: null } });
    await lab.api.delete(VirtualMachine, { name: 'a', namespace: 'default' });
    lab.serve(impatient);
    await until(() => expect([...lab.mesos.hosts[0]!.domains.keys()]).toEqual([b.metadata.uid]));
    expect(lab.mesos.calls('KILL').map((call) => (call.kill as { task_id: object }).task_id)).toContainEqual({
      value: a.status?.attempt?.taskID,
    });
  }, 20_000);

  test('a task that nobody reaches is no orphan until its agent is back', async () => {
    const lab = await story();
    const [away] = ['r1', 'r2'].map((rack) => lab.mesos.addHost(rack, 16, 65_536, { rack }));
    await lab.want('a', 4, { rack: 'r1' });
    await lab.want('b', 4, { rack: 'r2' });
    lab.serve(impatient);
    const [a, b] = [await running(lab, 'a'), await running(lab, 'b')];
    lab.mesos.partition(away!);
    for (const name of ['a', 'b']) {
      await lab.api.patch(VirtualMachine, { name, namespace: 'default' }, { metadata: { finalizers: null } });
      await lab.api.delete(VirtualMachine, { name, namespace: 'default' });
    }
    const killed = () =>
      lab.mesos.calls('KILL').map((call) => (call.kill as { task_id: { value: string } }).task_id.value);
    await until(() => expect(killed()).toContain(b.status?.attempt?.taskID));
    expect(killed()).not.toContain(a.status?.attempt?.taskID);
    lab.mesos.heal(away!);
    await until(() => expect(killed()).toContain(a.status?.attempt?.taskID));
  }, 20_000);

  test('a domain with our mark and without a machine is removed', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    lab.serve(impatient);
    await lab.want('a', 4);
    const { metadata } = await running(lab, 'a');
    host.domains.set('11111111-2222-4333-8444-555555555555', 1);
    lab.mesos.heartbeat(host, true);
    await until(() => expect([...host.domains.keys()]).toEqual([metadata.uid]));
  }, 20_000);

  test('disks of no machine are removed, and no disk of one that is there', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    lab.serve(impatient);
    await lab.want('a', 4);
    const { metadata } = await running(lab, 'a');
    host.disks.add('11111111-2222-4333-8444-555555555555');
    lab.mesos.heartbeat(host, true);
    await until(() => expect([...host.disks]).toEqual([]));
    expect([...host.domains.keys()]).toEqual([metadata.uid]);
    const told = lab.mesos.messages.flatMap((message) => (message.type === 'cleanup' ? message.uids : []));
    expect(told).not.toContain(metadata.uid);
  }, 20_000);
});

describe('more than a few that belong to no machine', () => {
  const uids = [1, 2, 3, 4, 5].map((digit) => `${digit}1111111-2222-4333-8444-555555555555`);

  test('are held, and the Cluster says how to let them go', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    lab.serve(impatient);
    await lab.want('a', 4);
    const { metadata } = await running(lab, 'a');
    for (const uid of uids) host.domains.set(uid, 1);
    lab.mesos.heartbeat(host, true);
    const suspended = async () => {
      const { status } = await lab.api.get(Cluster, { name: 'lab' });
      return status?.conditions?.find(({ type }) => type === 'GCSuspended');
    };
    await until(async () => {
      const condition = await suspended();
      expect(condition).toMatchObject({ status: 'True', reason: 'TooManyOrphans' });
      expect(condition?.message).toContain(`h1/${uids[0]}`);
      expect(condition?.message).toMatch(/^5 .* beside 1 machines .*computefactory.io\/remove-orphans=5$/);
    });
    expect(host.domains.size).toBe(6);
    await lab.api.patch(Cluster, { name: 'lab' }, { metadata: { annotations: { [annotations.removeOrphans]: '5' } } });
    await until(() => expect([...host.domains.keys()]).toEqual([metadata.uid]));
    await until(async () => expect(await suspended()).toMatchObject({ status: 'False', reason: 'NothingHeld' }));
  }, 20_000);

  test('are removed where the machines’ own records say that these attempts are over', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    lab.serve(impatient);
    await lab.want('a', 4);
    const { metadata } = await running(lab, 'a');
    for (const name of ['v', 'w', 'x', 'y', 'z']) {
      const vm = await lab.want(name, 4, { rack: 'none' });
      const attempts = [{ number: 1, outcome: 'Lost', class: 'Infrastructure', proof: 'ConfirmedDead' }] as const;
      await lab.api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, attempts } });
      host.domains.set(vm.metadata.uid, 1);
    }
    lab.mesos.heartbeat(host, true);
    await until(() => expect([...host.domains.keys()]).toEqual([metadata.uid]));
  }, 20_000);

  test('are killed where a host that was vouched to be dead comes back with all that it ran', async () => {
    const lab = await story();
    const away = lab.mesos.addHost('h1', 64, 65_536);
    const names = ['v', 'w', 'x', 'y', 'z'];
    for (const name of names) {
      await lab.want(name, 4);
      await lab.api.patch(VirtualMachine, { name, namespace: 'default' }, { spec: { placement: { cluster: 'lab' } } });
    }
    lab.serve(impatient);
    const attempts: NonNullable<VirtualMachine['status']>['attempt'][] = [];
    for (const name of names) attempts.push((await running(lab, name)).status?.attempt);
    lab.mesos.partition(away);
    const { metadata } = (await lab.api.list(Host)).items[0]!;
    const vouched = { [annotations.confirmedDead]: attempts[0]?.bootID };
    const patch = { metadata: { annotations: vouched }, spec: { unschedulable: true } };
    await lab.api.patch(Host, { name: metadata.name }, patch);
    for (const name of names)
      await until(async () => {
        const { status } = await lab.machine(name);
        expect([status?.attempt, status?.attempts?.[0]?.proof]).toEqual([undefined, 'ConfirmedDead']);
      });
    lab.mesos.heal(away);
    const killed = () =>
      lab.mesos.calls('KILL').map((call) => (call.kill as { task_id: { value: string } }).task_id.value);
    await until(() => expect(killed()).toEqual(expect.arrayContaining(attempts.map((attempt) => attempt?.taskID))));
  }, 20_000);
});

describe('images', () => {
  async function wantImage(lab: Story): Promise<void> {
    const image = await lab.api.create(Image, {
      ...{ apiVersion: api, kind: 'Image', metadata: { name: 'debian', namespace: 'default' } },
      spec: {
        source: { file: { path: 'debian.qcow2' } },
        osType: 'Linux',
        limits: { maxVirtualSize: '2Ti', timeout: '2h' },
      },
    });
    await lab.api.updateStatus(Image, { ...image, status: { clusters: [{ name: 'lab', phase: 'Pending' }] } });
  }

  async function imported(lab: Story): Promise<void> {
    const ready = { phase: 'Ready', format: 'qcow2', virtualSize: 2 ** 30, attempts: 1 };
    await until(async () => {
      const { status } = await lab.api.get(Image, { name: 'debian', namespace: 'default' });
      expect(status?.clusters?.[0]).toMatchObject(ready);
    });
  }

  test('an image is imported by a task, and its row says what came of it', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 16, 65_536);
    await wantImage(lab);
    lab.serve();
    await imported(lab);
  });

  test('an import whose image is gone and whose executor has forgotten it is killed', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 16, 65_536);
    lab.mesos.forgetImports = true;
    await wantImage(lab);
    lab.serve(impatient);
    await until(() => expect(lab.mesos.hosts[0]!.tasks.size).toBe(1));
    await lab.api.delete(Image, { name: 'debian', namespace: 'default' });
    await until(() => expect(lab.mesos.hosts[0]!.tasks.size).toBe(0));
  }, 20_000);

  test('an import that its executor does not name any more is killed, and tried again', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    lab.mesos.forgetImports = true;
    await wantImage(lab);
    lab.serve();
    await until(() => expect(host.tasks.size).toBe(1));
    await until(async () => {
      lab.mesos.heartbeat(host);
      const { status } = await lab.api.get(Image, { name: 'debian', namespace: 'default' });
      expect(status?.clusters?.[0]).toMatchObject({
        phase: 'Pending',
        attempts: 1,
        message: expect.stringContaining('Tried 1 of 5 times'),
      });
    });
    expect(lab.mesos.calls('KILL')).toHaveLength(1);
  }, 20_000);

  test('hosts are told what to copy, are counted when they have it, and remove what nothing names', async () => {
    const lab = await story();
    const [named, unnamed] = ['a'.repeat(64), 'b'.repeat(64)];
    const hosts = ['h1', 'h2'].map((name) => lab.mesos.addHost(name, 16, 65_536));
    for (const host of hosts) host.images = { store: [named, unnamed], cached: [], backings: [named] };
    const image = await lab.api.create(Image, {
      ...{ apiVersion: api, kind: 'Image', metadata: { name: 'debian', namespace: 'default' } },
      spec: {
        source: { file: { path: 'debian.qcow2' } },
        osType: 'Linux',
        limits: { maxVirtualSize: '2Ti', timeout: '2h' },
        prefetch: { copies: 'All' },
      },
    });
    const rows = [{ name: 'lab', phase: 'Ready' as const, digest: named }];
    await lab.api.updateStatus(Image, { ...image, status: { digest: named, clusters: rows } });
    // Executors come with machines, and by the books a machine's image is named.
    for (const name of ['a', 'b']) await lab.want(name, 10);
    lab.serve(undefined, {
      imageFiles: { periodMs: 50, graceMs: 200, lostMs: 60_000, againMs: 30_000 },
      prefetch: { periodMs: 50, paceMs: 200, listenMs: 0 },
    });
    for (const name of ['a', 'b']) await running(lab, name);
    await until(async () => {
      for (const host of hosts) lab.mesos.heartbeat(host);
      const { status } = await lab.api.get(Image, { name: 'debian', namespace: 'default' });
      expect(status?.clusters?.[0]).toMatchObject({ warmHosts: 2, prefetch: { wanted: 2, done: 2, failed: 0 } });
      expect(hosts.map(({ images }) => images!.store)).toContainEqual([named]);
    });
  }, 20_000);

  test('the end of an import is acknowledged again when the first acknowledgement was lost', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 16, 65_536);
    lab.mesos.loseAcknowledgements = true;
    await wantImage(lab);
    lab.serve();
    await imported(lab);
    await until(() => expect(lab.mesos.calls('ACKNOWLEDGE')).toHaveLength(1));
    lab.mesos.loseAcknowledgements = false;
    expect(lab.mesos.sendAgain()).toBe(1);
    await until(() => expect(lab.mesos.calls('ACKNOWLEDGE')).toHaveLength(2));
    expect(lab.mesos.sendAgain()).toBe(0);
  });
});

describe('gangs', () => {
  const gang = { name: 'g', machines: 3, timeout: '10m' };

  async function wantGang(lab: Story): Promise<void> {
    for (const name of ['a', 'b', 'c']) {
      await lab.want(name, 4);
      await lab.api.patch(VirtualMachine, { name, namespace: 'default' }, { spec: { gang } });
    }
  }

  test('none of it is launched before all of it has room; then all of it is, on several hosts', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8.5, 65_536);
    await wantGang(lab);
    lab.serve();
    await until(async () => {
      const scheduled = (await lab.machine('b')).status?.conditions?.find(({ type }) => type === 'Scheduled');
      expect(scheduled?.message).toBe(
        'lab: The 3 machines of gang g that wait need room at one time, 2 have it. For the next: 1 host: 1 short of cores (largest free 0)',
      );
    });
    expect(lab.mesos.calls('ACCEPT')).toEqual([]);
    lab.mesos.addHost('h2', 8.5, 65_536);
    const launches = await Promise.all(['a', 'b', 'c'].map(async (name) => (await running(lab, name)).status?.attempt));
    expect(new Set(launches.map((attempt) => attempt?.host))).toEqual(new Set(['h1', 'h2']));
    expect(launches[0]?.gang).toMatchObject({ machines: 3 });
    expect(new Set(launches.map((attempt) => attempt?.gang?.launch)).size).toBe(1);
  }, 20_000);

  test('nothing is sent when one intent cannot be stored: all of it waits, and is launched when it can', async () => {
    const lab = await story();
    for (const name of ['h1', 'h2', 'h3']) lab.mesos.addHost(name, 4.5, 65_536);
    await wantGang(lab);
    const { updateStatus } = lab.api;
    let refusals = 0;
    lab.api.updateStatus = async (kind, object) => {
      const isIntent =
        (object as KubeObject as VirtualMachine).status?.attempt?.number === 1 && object.metadata.name === 'b';
      if (isIntent && ++refusals === 1) throw new ApiError('Conflict', 'Somebody was faster');
      return await updateStatus(kind, object);
    };
    lab.serve();
    await until(async () => {
      expect((await lab.machine('a')).status?.attempts?.[0]).toMatchObject({ number: 1, proof: 'NeverSent' });
      expect((await lab.machine('c')).status?.attempts?.[0]).toMatchObject({ number: 1, proof: 'NeverSent' });
    });
    for (const name of ['a', 'b', 'c']) await running(lab, name);
    expect(lab.mesos.starts.values().toArray().flat()).toHaveLength(3);
  }, 20_000);
});

test('hosts that carry one subnet are told of each other, until the last machine of it is gone', async () => {
  const lab = await story();
  const hosts = [1, 2].map((n) => {
    const host = lab.mesos.addHost(`h${n}`, 4.5, 16_384);
    host.tunnelAddress = `192.0.2.${n}`;
    return host;
  });
  for (const name of ['a', 'b']) {
    const vm = await lab.want(name, 4);
    await lab.api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status!, networks: [{ vni: 10 }] } });
  }
  lab.serve();
  await running(lab, 'a');
  const { attempt } = (await running(lab, 'b')).status!;
  const beat = () => {
    for (const host of hosts) lab.mesos.heartbeat(host);
  };
  const told = () => hosts.map(({ peers }) => peers?.subnets);
  await until(() => {
    beat();
    expect(told()).toEqual([[{ vni: 10, peers: ['192.0.2.2'] }], [{ vni: 10, peers: ['192.0.2.1'] }]]);
  });
  const orders = () => lab.mesos.messages.filter(({ type }) => type === 'peers').length;
  // What a heartbeat names is not said again; those that were under way may still be.
  const before = orders();
  for (let n = 0; n < 20; n++) beat();
  await lab.api.delete(VirtualMachine, { name: 'b', namespace: 'default' });
  await until(() => {
    beat();
    expect(told()).toEqual(hosts.map(({ hostname }) => (hostname === attempt!.host ? [] : [{ vni: 10, peers: [] }])));
  });
  expect(orders() - before).toBeLessThan(20);
}, 20_000);

test('a cluster server that is stopped while it asks for the agents ends, and does nothing any more', async () => {
  const lab = await story();
  const vm = await lab.want('a', 4);
  const stop = new AbortController();
  const connection = {
    async request(): Promise<never> {
      stop.abort(new Error('Stopped'));
      throw new Error('No master answers');
    },
    destroy: async () => {},
  };
  const parts = {
    client: lab.api,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    connect: () => connection,
  };
  await runClusterServer({ ...parts, cluster: 'lab', installation: 'installation-1' }, stop.signal);
  expect((await lab.machine('a')).metadata.resourceVersion).toBe(vm.metadata.resourceVersion);
});
