/** Hosts are emptied, whoever asks for it, and no machine ever has two lives. */
import { describe, expect, test } from 'vitest';
import { Host } from '#lib/api/generated/host.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { annotations } from '#lib/api/names.ts';
import { running, type Story, story, until } from './testing/story.ts';

const at = (name: string) => ({ name, namespace: 'default' });
const hostSpec = ({ api }: Story, name: string, spec: object) => api.patch(Host, { name: `lab-${name}` }, { spec });
const hostStatus = async ({ api }: Story, name: string) => (await api.get(Host, { name: `lab-${name}` })).status;
const draining = async (lab: Story, name: string) =>
  (await hostStatus(lab, name))?.conditions?.find(({ type }) => type === 'Draining');

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
    await hostSpec(lab, 'h1', { drain: null });
    await until(async () => expect(await hostStatus(lab, 'h1')).toMatchObject({ displayStatus: 'Ready' }));
    expect((await hostStatus(lab, 'h1'))?.drain).toBeUndefined();
  }, 20_000);

  test('waits for what is protected, says for what and until when, and for no longer', async () => {
    const lab = await twoHosts(['a', 'b']);
    await lab.api.patch(VirtualMachine, at('a'), {
      metadata: { annotations: { [annotations.scaleInProtection]: 'true' } },
    });
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

  test('whose drain is taken back keeps what was held back', async () => {
    const lab = await twoHosts(['a']);
    await lab.api.patch(VirtualMachine, at('a'), {
      metadata: { annotations: { [annotations.scaleInProtection]: 'true' } },
    });
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
