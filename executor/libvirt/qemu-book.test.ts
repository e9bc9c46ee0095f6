/** With a program that stands in for QEMU; a real one that hangs in GlusterFS is in ../store/store.test.ts. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { identifyProcess } from '#lib/std/process-identity.ts';
import { QemuBook } from './qemu-book.ts';

async function openMachine() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const uid = randomUUID();
  mkdirSync(join(directory.path, 'vms', uid), { recursive: true });
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const processes = { look: () => [{ uid, ...identifyProcess(child.pid!)! }] };
  return {
    ...{ uid, pid: child.pid!, root: directory.path },
    open: () => new QemuBook({ root: directory.path, processes }),
    async end() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
    async [Symbol.asyncDispose]() {
      await this.end();
      await directory.remove();
    },
  };
}

test('a process that was seen running is not gone because libvirt says so, also for the next executor', async () => {
  await using machine = await openMachine();
  const { uid, pid } = machine;
  const first = machine.open();
  expect(first.leftOf(uid)).toBeUndefined();
  first.runs(uid);
  for (const processes of [first, machine.open()]) expect(processes.leftOf(uid)).toMatchObject({ pid });
  expect(first.stuck()).toEqual([]);
  await machine.end();
  for (const processes of [first, machine.open()]) expect(processes.leftOf(uid)).toBeUndefined();
});

test('a pid that another process has by now is not it', async () => {
  await using machine = await openMachine();
  const { uid, pid, root } = machine;
  const old = new QemuBook({ root, processes: { look: () => [{ uid, pid, startTime: 1 }] } });
  old.runs(uid);
  expect(old.leftOf(uid)).toBeUndefined();
});
