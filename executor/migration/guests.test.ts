/** Real guests move between two whole executors: over TLS, through tunnels, with their disks. */
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { migrationToken } from '#lib/api/host-endpoint.ts';
import type { MachineLaunch } from '#lib/api/launch.ts';
import type { MachineReport, MigrateOrder } from '#lib/api/messages.ts';
import { machineTaskId } from '#lib/api/names.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { parseConfig } from '../config.ts';
import { consolePaths } from '../console/paths.ts';
import { type RunningExecutor, startExecutor } from '../start.ts';
import { shell } from '../testing/guest-shell.ts';
import { ScriptedAgent } from '../testing/scripted-agent.ts';
import { digest, machineLaunch } from '../testing/world.ts';

const mib = 2 ** 20;
const until = async (check: () => unknown, timeout = 60_000): Promise<void> =>
  void (await vi.waitFor(check, { timeout, interval: 100 }));

class Host {
  readonly real: RealHost;
  readonly agent: ScriptedAgent;
  executor!: RunningExecutor;

  private constructor(real: RealHost, agent: ScriptedAgent) {
    this.real = real;
    this.agent = agent;
  }

  static async open(stack: AsyncDisposableStack): Promise<Host> {
    const real = stack.use(await openRealHost());
    const host = new Host(real, stack.use(await ScriptedAgent.listen()));
    stack.defer(async () => await host.executor[Symbol.asyncDispose]());
    const images = join(real.root, 'images');
    await mkdir(images, { recursive: true });
    await mkdir(join(real.root, 'import'));
    await chmod(real.root, 0o755);
    await copyFile(real.image, join(images, digest));
    await host.start();
    return host;
  }

  async start(): Promise<void> {
    const { root, bootIdFile, socket, netns } = this.real;
    const config = parseConfig({
      ...{ hypervisor: 'libvirt', root, imageStore: join(root, 'images'), importDir: join(root, 'import'), bootIdFile },
      ...{ libvirtSocket: socket, netns, installation: 'i', consoleListen: '127.0.0.1:0', kvm: false },
    });
    this.executor = await startExecutor({
      ...{ config, environment: this.agent.environment(root), incarnation: 'life-1', heartbeatMs: 500, lookMs: 500 },
      ...{ clock: systemClock, random: systemRandom, log: silentLog },
    });
  }

  reportOf(uid: string): MachineReport | undefined {
    return this.agent.heartbeats.at(-1)?.machines.find((each) => each.uid === uid);
  }

  async says(uid: string, command: string): Promise<string> {
    return await shell(consolePaths(this.real.root, uid), command, 10_000);
  }

  async left() {
    const moves = join(this.real.root, 'moves');
    return {
      domains: (await this.executor.host.hypervisor.list()).ours,
      owners: await this.executor.host.devices.owners(),
      sockets: existsSync(moves) ? readdirSync(moves) : [],
    };
  }
}

const nothing = { domains: [], owners: [], sockets: [] };

async function comes(to: Host, launch: MachineLaunch) {
  const attempt = launch.attempt + 1;
  const incoming = { migration: randomUUID(), from: launch.attempt, timeoutMs: 120_000 };
  const there = { ...launch, version: 7, attempt, taskId: machineTaskId(launch.uid, attempt), incoming } as const;
  await until(() => expect(to.agent.heartbeats.at(-1)?.console).toBeDefined());
  to.agent.launch(there);
  await until(() => expect(to.reportOf(launch.uid)?.migration?.state).toBe('Receiving'));
  return there;
}

function orderOf(to: Host, { uid, attempt }: MachineLaunch, { incoming }: MachineLaunch): MigrateOrder {
  const { url, certificateSha256, token } = to.agent.heartbeats.at(-1)!.console!;
  const id = incoming!.migration;
  const target = { hostname: 'two', url, certificateSha256, token: migrationToken(token, uid, id) };
  return { type: 'migrate', version: 1, id, uid, attempt, to: target, timeoutMs: 120_000 };
}

describe.skipIf(whyNoRealHost() !== undefined)('real guests', { timeout: 200_000 }, () => {
  const stack = new AsyncDisposableStack();
  let one: Host;
  let two: Host;
  beforeAll(async () => {
    one = await Host.open(stack);
    two = await Host.open(stack);
  }, 180_000);
  afterAll(async () => await stack.disposeAsync(), 60_000);

  test('a guest goes on at the other host where it was, and nothing of it stays', async () => {
    const launch = machineLaunch(randomUUID(), {
      ...{ version: 5, image: { digest, format: 'qcow2', virtualSize: 64 * mib }, rootDiskBytes: 64 * mib },
      ...{ memoryMiB: 96, disks: [{ name: 'data', bytes: 16 * mib }] },
    });
    const { uid } = launch;
    await until(() => expect(one.agent.heartbeats.at(-1)?.facts.migrates).toBe(true));
    one.agent.launch(launch);
    await until(() => expect(one.agent.states(launch.taskId)).toContain('TASK_RUNNING'));
    const boot = () => 'cat /proc/sys/kernel/random/boot_id';
    const bootId = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
    const first = await vi.waitFor(async () => bootId.exec(await one.says(uid, boot()))![0], { timeout: 90_000 });
    const there = await comes(two, launch);
    one.agent.message(orderOf(two, launch, there));
    await until(() => expect(two.agent.states(there.taskId)).toContain('TASK_RUNNING'), 120_000);
    await until(() => expect(one.agent.termination(launch.taskId)).toMatchObject({ reason: 'Migrated' }));
    expect(await one.left()).toEqual(nothing);
    const after = await vi.waitFor(async () => bootId.exec(await two.says(uid, boot()))![0], { timeout: 60_000 });
    expect(after).toBe(first);
    expect((await two.left()).sockets).toEqual([]);
    // And back, while its destination's worker ends in the middle of it: it stays.
    const refused = await comes(one, there);
    two.agent.message(orderOf(one, there, refused));
    await until(() =>
      expect(two.reportOf(uid)?.migration).toMatchObject({ state: 'Sending', id: refused.incoming.migration }),
    );
    await one.executor[Symbol.asyncDispose]();
    await one.start();
    await until(() => expect(one.agent.termination(refused.taskId)).toMatchObject({ reason: 'MigrationRefused' }));
    await until(() => expect(two.reportOf(uid)?.migration?.state).toBe('Failed'), 120_000);
    expect(await one.left()).toEqual(nothing);
    expect(await vi.waitFor(async () => bootId.exec(await two.says(uid, boot()))![0], { timeout: 60_000 })).toBe(first);
    two.agent.kill(there.taskId);
    await until(() => expect(two.agent.termination(there.taskId)).toMatchObject({ domainAbsent: true }));
    expect(await two.left()).toEqual(nothing);
  });
});
