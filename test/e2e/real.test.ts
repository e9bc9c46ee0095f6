/** Real machines, end to end: a pool of them under QEMU, operated, orphaned, adopted and removed without a trace. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { marker } from '#cli/local/programs.ts';
import { openRfb } from '#executor/testing/rfb.ts';
import { isTrue } from '#lib/api/conditions.ts';
import { Host, IPLease, VirtualMachine } from '#lib/api/generated/index.ts';
import { type ProcessIdentity, processesMarked, signalProcess } from '#lib/std/process-identity.ts';
import { whyNoRealHost } from '../real-host.ts';
import { whyNot } from '../requires.ts';
import { must, samples } from './local-cluster.ts';
import { commandOf, type Holdings, placeGuestImage, type RealCluster, startRealCluster } from './real-cluster.ts';
import { noTraces, tracer } from './traces.ts';

const namespace = 'studio-a';
const inStudio = ['-n', namespace];
const bootMs = 120_000;

describe.skipIf(whyNoRealHost() ?? whyNot(['virsh']))('a pool of two real machines', { timeout: 240_000 }, () => {
  let cluster: RealCluster;
  let atFirst: Holdings;
  beforeAll(async () => {
    cluster = await startRealCluster({ hosts: 1, hostCpus: 4, hostMem: '2Gi' });
    await placeGuestImage(cluster.dir);
    atFirst = await cluster.holdings();
  }, 300_000);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, 120_000);

  const machine = (name: string) => cluster.client.get(VirtualMachine, { name, namespace });
  const pool = () => Promise.all([machine('real-0'), machine('real-1')]);
  const printed = (vm: VirtualMachine, text: string) =>
    expect.poll(() => cluster.consoleLog(vm), { timeout: bootMs }).toContain(text);
  const boots = (vm: VirtualMachine) =>
    [...cluster.consoleLog(vm).matchAll(/BOOTS (\d+)\r/g)].map(([, count]) => Number(count));
  const booted = (vm: VirtualMachine, count: number) =>
    expect.poll(() => boots(vm).at(-1), { timeout: bootMs }).toBe(count);

  test('come up: virsh lists exactly these two', async () => {
    const files = ['00-namespace', '10-subnet', '20-image', '40-real'].flatMap((name) => [
      '-f',
      join(samples, `${name}.yaml`),
    ]);
    await must(cluster.factoryctl('apply', ...files));
    await must(cluster.factoryctl('wait', 'vmp/real', '--for=condition=Ready', ...inStudio, '--timeout=3m'));
    const uids = (await pool()).map(({ metadata }) => metadata.uid);
    expect(await cluster.runningDomains()).toEqual(uids.map((uid) => `cf-${uid}`).sort());
    expect(Object.keys(cluster.qemus()).sort()).toEqual([...uids].sort());
  });

  test('boot with the address of their lease, and say so on the serial console', async () => {
    const { items } = await cluster.client.list(IPLease, { namespace });
    for (const vm of await pool()) {
      const lease = items.find(({ spec }) => spec.holderUID === vm.metadata.uid);
      expect(lease?.spec.ip).toBe(vm.status?.ip);
      await printed(vm, `READY ${vm.metadata.name} ${lease?.spec.ip}\r`);
    }
  });

  test('reach each other, by way of the console that the API server offers', async () => {
    const [first, second] = await pool();
    expect(await cluster.shell(first, `ping -c 2 -w 10 ${second.status?.ip}`)).toContain('2 packets received');
    expect(await cluster.shell(second, `wget -qO- http://${first.status?.ip}/`)).toContain(
      `"instance":"${first.metadata.uid}","boots":1,"address":"${first.status?.ip}"`,
    );
  });

  test('show what is inside of them: log, picture, screen, what a command prints, what their agent says', async () => {
    const [vm] = await pool();
    const { name } = vm.metadata;
    expect(await must(cluster.factoryctl('log', name, ...inStudio))).toContain(`READY ${name} ${vm.status?.ip}`);
    const picture = join(cluster.dir, 'screen.png');
    await must(cluster.factoryctl('screenshot', name, ...inStudio, '-o', picture));
    expect(readFileSync(picture).toString('latin1', 1, 4)).toBe('PNG');
    const run = (...command: string[]) => cluster.factoryctl('exec', name, ...inStudio, '--', ...command);
    expect(await run('hostname')).toMatchObject({ code: 0, stdout: `${name}\n` });
    expect(await run('sh', '-c', 'echo no >&2; exit 5')).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/^no$/m),
    });
    const wait = ['--for=condition=GuestAgentConnected', '--timeout=1m'];
    await must(cluster.factoryctl('wait', `vm/${name}`, ...inStudio, ...wait));
    const { status } = await machine(name);
    expect(status?.guestAgent?.version).toMatch(/^\d/);
    expect(status?.osInfo).toMatchObject({ name: 'Small guest of Compute Factory', hostname: name });
    expect(status?.networks?.[0]?.guestIPs).toEqual([status?.ip]);
    const viewed = await cluster.vnc(vm);
    await using viewer = await openRfb(viewed.screen);
    expect(viewer.width).toBeGreaterThan(0);
    viewed.end();
  });

  test('restart reboots the guest on its own disk, in the same attempt', async () => {
    const [old, other] = await pool();
    expect(boots(old)).toEqual([1]);
    await must(cluster.factoryctl('restart', 'vm', 'real-0', ...inStudio, '--timeout=2m'));
    await booted(old, 2);
    await printed(old, 'POWEROFF\r');
    const after = await machine('real-0');
    expect(after.status?.attempt).toEqual(old.status?.attempt);
    expect(after.metadata.uid).toBe(old.metadata.uid);
    expect(boots(other)).toEqual([1]);
  });

  test('a Manual machine obeys start and stop', async () => {
    const file = join(cluster.dir, 'manual.yaml');
    writeFileSync(
      file,
      JSON.stringify({
        apiVersion: 'computefactory.io/v1alpha1',
        kind: 'VirtualMachine',
        metadata: { name: 'manual', namespace },
        spec: {
          runPolicy: 'Manual',
          resources: { cores: 1, memory: '128Mi' },
          image: { name: 'tiny' },
          networks: [{ subnet: 'studio-a' }],
        },
      }),
    );
    await must(cluster.factoryctl('apply', '-f', file));
    await expect.poll(async () => (await machine('manual')).status?.phase, { timeout: 30_000 }).toBe('Stopped');
    const vm = await machine('manual');
    const domain = `cf-${vm.metadata.uid}`;
    expect(await cluster.runningDomains()).not.toContain(domain);

    await must(cluster.factoryctl('start', 'vm', 'manual', ...inStudio, '--timeout=2m'));
    expect(await cluster.runningDomains()).toContain(domain);
    await printed(vm, 'READY manual ');
    await must(cluster.factoryctl('stop', 'vm', 'manual', ...inStudio, '--timeout=2m'));
    expect(await cluster.runningDomains()).not.toContain(domain);
    expect(cluster.consoleLog(vm)).toContain('POWEROFF\r');
    await must(cluster.factoryctl('start', 'vm', 'manual', ...inStudio, '--timeout=2m'));
    await booted(vm, 2);
    await must(cluster.factoryctl('delete', 'vm', 'manual', ...inStudio, '--timeout=2m'));
    expect(cluster.qemus()).not.toHaveProperty(vm.metadata.uid);
  });

  test.each([
    ['worker', /executor\/worker\.ts/, false],
    ['supervisor', /executor\/main\.ts/, true],
  ] as const)('kill -9 of the executor’s %s disturbs no guest', async (_, program, adopted) => {
    const machines = await pool();
    const [qemus, bootsBefore] = [cluster.qemus(), machines.map(boots)];
    const victim = executor(cluster, program);
    expect(victim).toHaveLength(1);
    const since = await workerSince();
    signalProcess(victim[0]!.pid, 'SIGKILL');
    // The next worker has introduced itself, and it reports the machines.
    await expect.poll(workerSince, { timeout: 90_000 }).not.toBe(since);
    await expect
      .poll(
        async () =>
          (await pool()).every((vm) => isTrue(vm, 'Ready') && (vm.status?.attempt?.adopted ?? false) === adopted),
        {
          timeout: 90_000,
        },
      )
      .toBe(true);
    // Only a worker that has them can talk to them.
    expect(await cluster.shell(machines[0]!, 'cat /data/boots')).toContain(String(bootsBefore[0]!.at(-1)));
    expect(cluster.qemus()).toEqual(qemus);
    const after = await pool();
    expect(after.map(boots)).toEqual(bootsBefore);
    expect(after.map(({ metadata }) => metadata.uid)).toEqual(machines.map(({ metadata }) => metadata.uid));
    expect(executor(cluster, program)).toHaveLength(1);
  });

  const workerSince = async () => (await cluster.client.list(Host)).items[0]?.status?.executor?.since;

  test('deleting the pool leaves nothing', async () => {
    await must(cluster.factoryctl('delete', 'vmp', 'real', ...inStudio, '--timeout=2m'));
    expect(atFirst).toMatchObject({ domains: [], machineFiles: [], filterRules: [], dhcpFiles: [], tasks: [] });
    await expect.poll(() => cluster.holdings(), { timeout: 60_000, interval: 500 }).toEqual(atFirst);
  });

  test('local down leaves nothing, also of machines that still run', async () => {
    await must(cluster.factoryctl('apply', '-f', join(samples, '40-real.yaml')));
    await must(cluster.factoryctl('wait', 'vmp/real', '--for=condition=Ready', ...inStudio, '--timeout=3m'));
    const traces = tracer(cluster.dir);
    expect(traces().processes.length).toBeGreaterThan(10);
    await must(cluster.factoryctl('local', 'down', '--dir', cluster.dir));
    expect(traces()).toEqual(noTraces);
  });
});

function executor({ dir }: RealCluster, program: RegExp): readonly ProcessIdentity[] {
  return processesMarked(marker, dir).filter(({ pid }) => program.test(commandOf(pid)));
}
