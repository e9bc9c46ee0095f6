/** A pretended host with an executor of its own, whose Mesos agent is the figure itself. */
import { randomUUID } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ScriptedAgent } from '#executor/testing/scripted-agent.ts';
import { machineLaunch } from '#executor/testing/world.ts';
import type { MachineLaunch } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isTerminal, type TaskState } from '#mesos/types.ts';
import { openRealHost, type RealHost } from '#test/real-host.ts';
import { cpuSecondsWithCommands, startProgram, until } from '../programs.ts';
import { type Trace, traceReader } from './trace.ts';

const digest = 'b'.repeat(64);
const patienceMs = 120_000;

export interface BenchHost extends AsyncDisposable {
  readonly host: RealHost;
  /** The stored image that machines stand on. */
  readonly image: string;
  /** A launch of another machine; at most one at a time runs, so all have the same address. */
  launch(): MachineLaunch;
  /** Milliseconds from the launch to TASK_RUNNING. */
  start(launch: MachineLaunch): Promise<Timed>;
  /** Milliseconds from the kill, which cuts the power at once, to the proof that the domain is absent. */
  remove(launch: MachineLaunch): Promise<Timed>;
}

export interface Timed {
  readonly ms: number;
  /** Of the processor, with the programs that were run for it; without libvirtd and QEMU. */
  readonly cpuMs: number;
  readonly traces: readonly Trace[];
}

export async function openBenchHost(): Promise<BenchHost> {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await openRealHost());
  const agent = stack.use(await ScriptedAgent.listen());
  const imageStore = join(dirname(host.root), 'images');
  const image = join(imageStore, digest);
  mkdirSync(imageStore);
  mkdirSync(host.root);
  copyFileSync(host.image, image);
  for (const folder of [imageStore, host.root]) chmodSync(folder, 0o755);
  const { socket: libvirtSocket, netns, bootIdFile, root } = host;
  const config = { hypervisor: 'libvirt', root, imageStore, importDir: imageStore, bootIdFile, libvirtSocket, netns };
  const configFile = join(dirname(root), 'executor.json');
  writeFileSync(configFile, JSON.stringify({ ...config, installation: 'i', kvm: false }));
  const traceFile = join(dirname(root), 'trace');
  writeFileSync(traceFile, '');
  const program = join(import.meta.dirname, 'traced-executor.ts');
  const environment = { ...process.env, ...agent.variables(root) };
  const executor = stack.use(startProgram(process.execPath, [program, configFile, traceFile], environment));
  await until('the executor', async () => agent.heartbeats.some(({ inventory }) => inventory !== undefined), 60_000);
  const { workerId, sequence } = agent.heartbeats.at(-1)!;
  // It would else look at all domains for an inventory with every change.
  agent.message({ version: 1, type: 'ack', workerId, sequence, operations: [] });
  const trace = traceReader(traceFile);
  /** Looks every millisecond, which is nothing beside what is measured. */
  const said = async (taskId: string, ...wanted: readonly TaskState[]): Promise<void> => {
    const deadline = systemClock.monotonic() + patienceMs;
    for (;;) {
      const state = agent.updates.findLast(({ task_id }) => task_id.value === taskId)?.state;
      if (state !== undefined && wanted.includes(state)) return;
      if (state !== undefined && isTerminal(state))
        throw new Error(`Task ${taskId} ended: ${agent.termination(taskId)?.message}`);
      if (systemClock.monotonic() > deadline) throw new Error(`Task ${taskId} is still ${state ?? 'not known'}`);
      await systemClock.sleep(1);
    }
  };
  const timed = async (body: () => Promise<void>): Promise<Timed> => {
    trace();
    const cpu = () => 1000 * cpuSecondsWithCommands(executor.pid);
    const [started, cpuBefore] = [systemClock.monotonic(), cpu()];
    await body();
    return { ms: systemClock.monotonic() - started, cpuMs: cpu() - cpuBefore, traces: trace() };
  };
  const running = stack.move();
  return {
    host,
    image,
    launch: () =>
      machineLaunch(randomUUID(), {
        memoryMiB: 96,
        image: { digest, format: 'qcow2', virtualSize: 32 * 2 ** 20 },
        rootDiskBytes: 64 * 2 ** 20,
        terminationGraceMs: 0,
        networks: [network],
      }),
    start: (launch) =>
      timed(async () => {
        agent.launch(launch);
        await said(launch.taskId, 'TASK_RUNNING');
      }),
    remove: (launch) =>
      timed(async () => {
        agent.kill(launch.taskId);
        await said(launch.taskId, 'TASK_KILLED');
        if (agent.termination(launch.taskId)?.domainAbsent !== true)
          throw new Error(`Machine ${launch.uid} ended without the proof that its domain is absent`);
      }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const network = {
  ...{
    subnet: 's',
    subnetUID: 'u',
    vni: 4097,
    ip: '10.66.10.11',
    prefix: 24,
    gateway: '10.66.10.1',
    mac: '52:54:00:00:00:11',
  },
  ...{ mtu: 1450, dns: ['10.66.10.2'], domain: 'lab.example', leaseSeconds: 3600 },
};
