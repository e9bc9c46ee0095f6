/** Hosts are emptied, whoever asks for it, go and come back, and no machine ever has two lives. */
import { describe, expect, test } from 'vitest';
import { Host } from '#lib/api/generated/host.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { annotations } from '#lib/api/names.ts';
import type { Unavailability } from '#mesos/types.ts';
import { open, running, type Story, story, until } from './testing/story.ts';

const at = (name: string) => ({ name, namespace: 'default' });
const hostSpec = ({ api }: Story, name: string, spec: object) => api.patch(Host, { name: `lab-${name}` }, { spec });
const hostStatus = async ({ api }: Story, name: string) => (await api.get(Host, { name: `lab-${name}` })).status;
const draining = async (lab: Story, name: string) =>
  (await hostStatus(lab, name))?.conditions?.find(({ type }) => type === 'Draining');

const protect = ({ api }: Story, name: string) =>
  api.patch(VirtualMachine, at(name), { metadata: { annotations: { [annotations.scaleInProtection]: 'true' } } });

/** As the virtualmachine controller does it when an attempt was closed. */
async function relaunch({ api, machine }: Story, name: string): Promise<void> {
  await until(async () => expect((await machine(name)).status?.attempt).toBeUndefined());
  const vm = await machine(name);
  await api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, phase: 'Scheduling' } });
}

/** Machines on h1, and room for as many on h2. */
async function twoHosts(names: readonly string[]): Promise<Story> {
  const lab = await story();
  lab.mesos.addHost('h1', 16, 65_536);
  lab.serve();
  for (const name of names) await lab.want(name, 4);
  for (const name of names) await running(lab, name);
  lab.mesos.addHost('h2', 16, 65_536);
  await until(async () => expect(await hostStatus(lab, 'h2')).toMatchObject({ displayStatus: 'Ready' }));
  return lab;
}

describe('a host that is drained by its spec', () => {
  test('is emptied: its machines run elsewhere, once each', async () => {
    const lab = await twoHosts(['a', 'b']);
    await hostSpec(lab, 'h1', { drain: { reason: 'new disks', markGone: false } });
    for (const name of ['a', 'b']) {
      await relaunch(lab, name);
      const vm = await running(lab, name);
      expect(vm.status?.attempt).toMatchObject({ number: 2, host: 'h2' });
      expect(vm.status?.attempts).toMatchObject([
        { number: 1, host: 'h1', outcome: 'Killed', class: 'Preempted', reason: 'HostDrain' },
      ]);
      expect(vm.status?.lastTermination?.message).toBe('The host is drained: new disks');
      expect(lab.mesos.starts.get(vm.metadata.uid)).toEqual(['h1', 'h2']);
    }
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Drained', vms: 0 }));
    expect(await draining(lab, 'h1')).toMatchObject({ status: 'False', reason: 'Drained' });
    // The last step is Mesos', and is taken back with the drain.
    const [h1] = lab.mesos.hosts;
    await until(() => expect(h1!.deactivated).toBe('Drained'));
    await until(async () =>
      expect((await hostStatus(lab, 'h1'))?.drain).toMatchObject({ left: 0, agentDrained: true }),
    );
    await hostSpec(lab, 'h1', { drain: null });
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Ready' }));
    expect(h1!.deactivated).toBeUndefined();
    await until(async () => expect((await hostStatus(lab, 'h1'))?.drain).toBeUndefined());
  }, 20_000);

  test('is as empty when Mesos does not let us drain its agent, and says why it was not', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.refuseDrains = true;
    await hostSpec(lab, 'h1', { drain: { markGone: false } });
    await until(async () => {
      const { reason, message } = (await draining(lab, 'h1'))!;
      expect(reason).toBe('Drained');
      expect(message).toContain('Mesos did not do with its agent what it was told: Not authorized');
    });
  }, 20_000);

  test('waits for what is protected, says for what and until when, and for no longer', async () => {
    const lab = await twoHosts(['a', 'b']);
    await protect(lab, 'a');
    const deadline = new Date(Date.now() + 3_600_000).toISOString();
    await hostSpec(lab, 'h1', { drain: { deadline, markGone: false } });
    await relaunch(lab, 'b');
    await running(lab, 'b');
    await until(async () => {
      const { status, reason, message } = (await draining(lab, 'h1'))!;
      expect({ status, reason }).toEqual({ status: 'True', reason: 'VMsLeft' });
      expect(message).toMatch(
        /1 machine has to go by \d.*Z: default\/a: .*scale-in-protection to be removed, until \d/,
      );
    });
    expect((await lab.machine('a')).status?.attempt).toMatchObject({ number: 1, drain: { state: 'Waiting' } });
    expect(lab.mesos.calls('KILL')).toHaveLength(1);
    await hostSpec(lab, 'h1', { drain: { deadline: new Date(Date.now() + 10_000).toISOString() } });
    await until(async () => expect((await lab.machine('a')).status?.attempt).toBeUndefined());
    // Less than its own 60 s are left.
    const { kill_policy } = lab.mesos.calls('KILL').at(-1)!.kill as { kill_policy: { grace_period: object } };
    expect(kill_policy.grace_period).toEqual({ nanoseconds: expect.any(Number) });
  }, 20_000);

  test('is not given to Mesos by a server that has just started and has looked at none of its machines', async () => {
    const lab = await twoHosts(['a']);
    await protect(lab, 'a');
    await hostSpec(lab, 'h1', { drain: { markGone: false } });
    await until(async () => expect((await lab.machine('a')).status?.attempt?.drain?.state).toBe('Waiting'));
    const server = open.pop()!;
    await server[Symbol.asyncDispose]();
    lab.serve();
    await lab.want('b', 4);
    expect((await running(lab, 'b')).status?.attempt?.host).toBe('h2');
    expect(lab.mesos.calls('DRAIN_AGENT')).toEqual([]);
    expect((await lab.machine('a')).status?.attempt).toMatchObject({ number: 1, drain: { state: 'Waiting' } });
  }, 20_000);

  test('whose drain is taken back keeps what was held back', async () => {
    const lab = await twoHosts(['a']);
    await protect(lab, 'a');
    await hostSpec(lab, 'h1', { drain: { markGone: false } });
    await until(async () => expect((await lab.machine('a')).status?.attempt?.drain?.state).toBe('Waiting'));
    await hostSpec(lab, 'h1', { drain: null });
    await until(async () => expect((await lab.machine('a')).status?.attempt?.drain).toBeUndefined());
    expect(lab.mesos.calls('KILL')).toEqual([]);
  }, 20_000);

  test('loses its executor meanwhile: the machine is adopted first, and goes with proof', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.loseKills = true;
    await hostSpec(lab, 'h1', { drain: { markGone: false } });
    await until(() => expect(lab.mesos.calls('KILL').length).toBeGreaterThan(0));
    lab.mesos.loseExecutor(lab.mesos.hosts[0]!);
    lab.mesos.loseKills = false;
    await relaunch(lab, 'a');
    const vm = await running(lab, 'a');
    expect(vm.status?.attempt?.host).toBe('h2');
    expect(vm.status?.attempts).toMatchObject([{ outcome: 'Adopted' }, { class: 'Preempted' }]);
    expect(lab.mesos.hosts.map(({ domains }) => domains.size)).toEqual([0, 1]);
  }, 20_000);
});

const inMs = (ms: number, forMs?: number): Unavailability => ({
  start: { nanoseconds: (Date.now() + ms) * 1e6 },
  ...(forMs === undefined ? {} : { duration: { nanoseconds: forMs * 1e6 } }),
});
const answers = ({ mesos }: Story) =>
  ['ACCEPT_INVERSE_OFFERS', 'DECLINE_INVERSE_OFFERS'].map((type) => mesos.calls(type).length);
const hourMs = 3_600_000;

describe('a host for which Mesos’ operators plan maintenance', () => {
  test('far away: it says so, declines while something is there, and goes on', async () => {
    const lab = await twoHosts(['a']);
    lab.mesos.plan(lab.mesos.hosts[0]!, inMs(24 * hourMs, hourMs));
    await until(async () => {
      expect(await hostStatus(lab, 'h1')).toMatchObject({
        displayStatus: 'Ready',
        maintenance: { start: expect.any(String), end: expect.any(String) },
      });
      expect(await draining(lab, 'h1')).toMatchObject({ status: 'False', reason: 'MaintenancePlanned' });
    });
    expect(answers(lab)).toEqual([0, 1]);
    await lab.want('b', 12);
    expect((await running(lab, 'b')).status?.attempt?.host).toMatch(/h1|h2/);
  }, 20_000);

  test('soon: no new machine starts there', async () => {
    const lab = await story();
    const host = lab.mesos.addHost('h1', 16, 65_536);
    lab.mesos.plan(host, inMs(hourMs));
    await lab.want('a', 4);
    lab.serve();
    await until(async () => {
      const scheduled = (await lab.machine('a')).status?.conditions?.find(({ type }) => type === 'Scheduled');
      expect(scheduled?.message).toBe('lab: 1 host: 1 soon to be in maintenance');
    });
    lab.mesos.plan(host, undefined);
    expect((await running(lab, 'a')).status?.attempt?.host).toBe('h1');
  }, 20_000);

  test('within the notice: it is emptied, whatever holds machines back, and the next answer is ACCEPT', async () => {
    const lab = await twoHosts(['a']);
    await protect(lab, 'a');
    const [h1] = lab.mesos.hosts;
    lab.mesos.plan(h1!, inMs(20 * 60_000, hourMs));
    await relaunch(lab, 'a');
    const vm = await running(lab, 'a');
    expect(vm.status?.attempt?.host).toBe('h2');
    expect(vm.status?.attempts).toMatchObject([{ class: 'Preempted', reason: 'PartnerReclaim' }]);
    expect(answers(lab)).toEqual([0, 1]);
    lab.mesos.askForHost(h1!);
    await until(() => expect(answers(lab)).toEqual([1, 1]));
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Drained' }));
    lab.mesos.plan(h1!, undefined);
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Ready' }));
    expect((await hostStatus(lab, 'h1'))?.maintenance).toBeUndefined();
    // Mesos does not drain agents that have a window.
    expect(lab.mesos.calls('DRAIN_AGENT')).toEqual([]);
  }, 20_000);
});

describe('what Mesos’ operators do to agents', () => {
  test('an agent that they drain: its machines were preempted, and run elsewhere', async () => {
    const lab = await twoHosts(['a', 'b']);
    lab.mesos.drainAgent(lab.mesos.hosts[0]!);
    for (const name of ['a', 'b']) {
      await relaunch(lab, name);
      const vm = await running(lab, name);
      expect(vm.status?.attempt?.host).toBe('h2');
      expect(vm.status?.attempts).toMatchObject([{ class: 'Preempted', reason: 'PartnerReclaim' }]);
      expect(lab.mesos.starts.get(vm.metadata.uid)).toEqual(['h1', 'h2']);
    }
    // Whom others drained, others reactivate.
    expect(lab.mesos.calls('REACTIVATE_AGENT')).toEqual([]);
  }, 20_000);

  test('an agent that they deactivate: what runs there goes on, and nothing new starts', async () => {
    const lab = await twoHosts(['a']);
    const [h1] = lab.mesos.hosts;
    h1!.deactivated = 'Deactivated';
    lab.mesos.dropSession();
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Cordoned' }));
    await lab.want('b', 12);
    expect((await running(lab, 'b')).status?.attempt?.host).toBe('h2');
    expect((await lab.machine('a')).status?.attempt).toMatchObject({ number: 1, host: 'h1' });
  }, 20_000);

  test('an agent that they declare gone: nothing is launched in its machines’ place before somebody vouches for the host', async () => {
    const lab = await twoHosts(['a']);
    const [h1] = lab.mesos.hosts;
    await until(async () => expect((await hostStatus(lab, 'h1'))?.bootID).toBe(h1!.bootId));
    lab.mesos.markGone(h1!);
    await until(async () => {
      const { status } = await lab.machine('a');
      expect(status?.phase).toBe('Unreachable');
      const reachable = status?.conditions?.find(({ type }) => type === 'Reachable');
      expect(reachable?.message).toContain(`${annotations.confirmedDead}=${h1!.bootId}`);
    });
    await lab.api.patch(
      Host,
      { name: 'lab-h1' },
      {
        metadata: { annotations: { [annotations.confirmedDead]: h1!.bootId } },
      },
    );
    await relaunch(lab, 'a');
    const vm = await running(lab, 'a');
    expect(vm.status?.attempts).toMatchObject([{ proof: 'ConfirmedDead', host: 'h1' }]);
  }, 20_000);

  test('a boot that somebody vouched to be over does not end what is launched before the next one is heard of', async () => {
    const lab = await twoHosts(['a']);
    const [h1, h2] = lab.mesos.hosts;
    h2!.deactivated = 'Deactivated';
    lab.mesos.dropSession();
    await until(async () => expect(await hostStatus(lab, 'h2')).toMatchObject({ displayStatus: 'Cordoned' }));
    await until(async () => expect((await hostStatus(lab, 'h1'))?.bootID).toBe(h1!.bootId));
    const metadata = { annotations: { [annotations.confirmedDead]: h1!.bootId } };
    await lab.api.patch(Host, { name: 'lab-h1' }, { metadata });
    h1!.bootId = 'another';
    await lab.want('b', 2);
    const vm = await running(lab, 'b');
    expect(vm.status?.attempt).toMatchObject({ number: 1 });
    expect(vm.status?.attempts ?? []).toEqual([]);
    expect(lab.mesos.starts.get(vm.metadata.uid)).toHaveLength(1);
  }, 20_000);
});

describe('an agent that was not reached', () => {
  test('is connected again with the first message that it passes on', async () => {
    const lab = await twoHosts(['a']);
    const [h1] = lab.mesos.hosts;
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Ready' }));
    h1!.disconnected = true;
    lab.mesos.dropSession();
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Unreachable' }));
    h1!.disconnected = false;
    lab.mesos.heartbeat(h1!);
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Ready' }));
  }, 20_000);

  test.each([
    ['under its old id: the machine was running all the time', false, { number: 1, adopted: false }],
    ['under another id: the machine is taken over as it is', true, { number: 2, adopted: true }],
  ])(
    'comes back %s',
    async (_name, isAnother, attempt) => {
      const lab = await twoHosts(['a']);
      const [h1] = lab.mesos.hosts;
      lab.mesos.partition(h1!);
      await until(async () => expect((await lab.machine('a')).status?.phase).toBe('Unreachable'));
      await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Unreachable' }));
      lab.mesos.heal(h1!, isAnother);
      lab.mesos.dropSession();
      const vm = await running(lab, 'a');
      expect(vm.status?.attempt).toMatchObject({ ...attempt, host: 'h1', agentID: h1!.agentId });
      expect(lab.mesos.starts.get(vm.metadata.uid)).toEqual(['h1']);
    },
    30_000,
  );
});
