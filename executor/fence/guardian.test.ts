/** The guardian as a process: with programs that look like QEMU, and with a real guest whose executor is killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Heartbeat } from '#lib/api/messages.ts';
import { silentLog } from '#lib/std/log.ts';
import { isRunning, signalProcess } from '#lib/std/process-identity.ts';
import { openRealHost, whyNoRealHost } from '#test/real-host.ts';
import { whyNot } from '#test/requires.ts';
import { QemuProcesses } from '../processes/qemu.ts';
import { ScriptedAgent } from '../testing/scripted-agent.ts';
import { digest, machineLaunch } from '../testing/world.ts';
import { guardDirectory, processGuard } from './process-guard.ts';
import { fenceFiles, uptimeMs } from './table.ts';

const until = async (check: () => unknown, timeout = 20_000): Promise<void> =>
  void (await vi.waitFor(check, { timeout, interval: 50 }));

describe.skipIf(whyNot(['setsid', 'sh'], { root: true }) !== undefined)('the guardian', { timeout: 60_000 }, () => {
  async function open() {
    const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    const root = directory.path;
    const program = join(root, 'qemu-pretended');
    writeFileSync(program, '#!/bin/sh\nread -r line\n');
    chmodSync(program, 0o755);
    const bootId = randomUUID();
    const guard = processGuard({ root, bootId, log: silentLog });
    const files = fenceFiles(guardDirectory(root), bootId);
    let number = 0;
    const watch = (...watches: { uid: string; deadlineMs: number }[]) => {
      const all = watches.map((each) => ({ ...each, attempt: 1, afterMs: 60_000 }));
      guard.write({ number: ++number, watches: all });
      return until(async () => expect(await guard.look()).toBe(number));
    };
    const start = (uid: string) => {
      const child = spawn(program, ['-name', `guest=cf-${uid},debug-threads=on`], {
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      onTestFinished(() => void child.kill('SIGKILL'));
      return child;
    };
    onTestFinished(async () => {
      guard.write({ number: ++number, watches: [] });
      await until(() => expect(existsSync(guardDirectory(root))).toBe(false));
      await directory.remove();
    });
    return { guard, files, watch, start };
  }
  const isDead = ({ exitCode, signalCode }: ChildProcess) => (exitCode ?? signalCode) !== null;

  test('cuts what is over, and whatever is started after that, and nothing else', async () => {
    const { watch, start } = await open();
    const [uid, other, unknown] = [randomUUID(), randomUUID(), randomUUID()];
    const [guest, neighbour, stranger] = [start(uid), start(other), start(unknown)];
    const deadlineMs = uptimeMs() + 4000;
    await watch({ uid, deadlineMs }, { uid: other, deadlineMs: deadlineMs + 600_000 });
    expect(isDead(guest)).toBe(false);
    await until(() => expect(isDead(guest)).toBe(true));
    expect(uptimeMs()).toBeGreaterThanOrEqual(deadlineMs);
    expect(uptimeMs()).toBeLessThan(deadlineMs + 3000);
    const late = start(uid);
    await until(() => expect(isDead(late)).toBe(true), 3000);
    expect([isDead(neighbour), isDead(stranger)]).toEqual([false, false]);
  });

  test('what is moved on is not cut', async () => {
    const { watch, start } = await open();
    const uid = randomUUID();
    const guest = start(uid);
    await watch({ uid, deadlineMs: uptimeMs() + 3000 });
    await watch({ uid, deadlineMs: uptimeMs() + 600_000 });
    await new Promise((resolve) => setTimeout(resolve, 4000));
    expect(isDead(guest)).toBe(false);
  });

  test.each(['SIGKILL', 'SIGSTOP'] as const)(
    'one that got %s is missed, and another takes its place',
    async (signal) => {
      const { guard, files, watch } = await open();
      await watch({ uid: randomUUID(), deadlineMs: uptimeMs() + 600_000 });
      const first = files.readSeen()!;
      signalProcess(first.pid, signal);
      await until(async () => expect(await guard.look()).toBeUndefined());
      await until(async () => expect(await guard.look()).toBe(1), 30_000);
      expect(files.readSeen()!.pid).not.toBe(first.pid);
      expect(isRunning(first)).toBe(false);
    },
  );

  test('is nobody’s child, in a session of its own', async () => {
    const { files, watch } = await open();
    await watch({ uid: randomUUID(), deadlineMs: uptimeMs() + 600_000 });
    const { pid } = files.readSeen()!;
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [, parent, , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    expect(Number(parent)).not.toBe(process.pid);
    expect(Number(session)).not.toBe(Number(readFileSync('/proc/self/stat', 'utf8').split(' ')[5]));
  });
});

describe.skipIf(whyNoRealHost() !== undefined)('a real guest', { timeout: 300_000 }, () => {
  const afterMs = 40_000;

  test('runs on while heartbeats are acknowledged, and is cut when worker and supervisor are dead and libvirtd is stopped', async () => {
    await using host = await openRealHost();
    await using agent = await ScriptedAgent.listen();
    const { root } = host;
    for (const name of ['images', 'import']) mkdirSync(join(root, name), { recursive: true });
    chmodSync(root, 0o755);
    copyFileSync(host.image, join(root, 'images', digest));
    const configFile = join(root, 'executor.json');
    const { socket: libvirtSocket, netns, bootIdFile } = host;
    const paths = { root, imageStore: join(root, 'images'), importDir: join(root, 'import'), bootIdFile };
    writeFileSync(configFile, JSON.stringify({ hypervisor: 'libvirt', ...paths, libvirtSocket, netns, kvm: false }));
    const program = startProgram(configFile, agent, root);
    await until(() => expect(agent.subscriptions).toHaveLength(1));
    const launch = machineLaunch(randomUUID(), {
      ...{ memoryMiB: 96, rootDiskBytes: 64 * 2 ** 20, selfFenceMs: afterMs },
      image: { digest, format: 'qcow2', virtualSize: 64 * 2 ** 20 },
    });
    agent.launch(launch);
    const answering = setInterval(() => acknowledge(agent), 500);
    onTestFinished(() => clearInterval(answering));
    await until(() => {
      expect(agent.states(launch.taskId)).toContain('TASK_RUNNING');
      expect(agent.heartbeats.at(-1)!.machines).toMatchObject([{ fence: { afterMs, armed: true } }]);
    }, 120_000);
    const processes = new QemuProcesses();
    const guest = () => processes.look().find(({ uid }) => uid === launch.uid);
    const before = guest();
    expect(before).toBeDefined();
    await new Promise((resolve) => setTimeout(resolve, afterMs + 15_000));
    expect(guest()).toEqual(before);

    clearInterval(answering);
    const silentMs = uptimeMs();
    const worker = Number(
      readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, 'utf8').trim().split(' ')[0],
    );
    program.kill('SIGKILL');
    signalProcess(worker, 'SIGKILL');
    const libvirtds = (await host.processes()).filter(({ name }) => name === 'libvirtd');
    for (const { pid } of libvirtds) signalProcess(pid, 'SIGSTOP');
    try {
      await new Promise((resolve) => setTimeout(resolve, afterMs - 20_000));
      expect(guest()).toEqual(before);
      await until(() => expect(guest()).toBeUndefined(), 60_000);
      // Counted from when the last heartbeat was sent that was acknowledged: at most ten seconds before.
      expect(uptimeMs() - silentMs).toBeGreaterThan(afterMs - 12_000);
      expect(uptimeMs() - silentMs).toBeLessThan(afterMs + 2000);
    } finally {
      for (const { pid } of libvirtds) signalProcess(pid, 'SIGCONT');
      fenceFiles(guardDirectory(root), readFileSync(bootIdFile, 'utf8').trim()).writeTable({
        number: 1e6,
        watches: [],
      });
      await until(() => expect(existsSync(guardDirectory(root))).toBe(false));
    }
  });

  function acknowledge(agent: ScriptedAgent): void {
    const last: Heartbeat | undefined = agent.heartbeats.at(-1);
    if (!last) return;
    const { workerId, sequence } = last;
    agent.message({ type: 'ack', version: 1, workerId, sequence, operations: [] });
  }

  function startProgram(configFile: string, agent: ScriptedAgent, root: string): ChildProcess {
    const program = spawn(process.execPath, [join(import.meta.dirname, '..', 'main.ts')], {
      env: { PATH: process.env.PATH, CF_EXECUTOR_CONFIG: configFile, ...agent.variables(root) },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    onTestFinished(async () => {
      if (program.exitCode !== null || program.signalCode !== null) return;
      program.kill('SIGKILL');
      await once(program, 'exit');
    });
    return program;
  }
});
