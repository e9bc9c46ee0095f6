/** With programs that are called as QEMU is; the real one is in ../fence/guardian.test.ts and ../store/store.test.ts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { guestProcesses, machineOf, QemuProcesses } from './qemu.ts';

test('whose guest a process is', () => {
  const uid = '5d1c3f0a-1b9e-4c57-9c0e-2f6f1d5b7a11';
  const line = (...words: string[]) => ['/usr/bin/qemu-system-x86_64', ...words, ''];
  expect(machineOf(line('-name', `guest=cf-${uid},debug-threads=on`, '-S'))).toBe(uid);
  expect(machineOf(line('-name', 'guest=other,debug-threads=on'))).toBeUndefined();
  expect(machineOf(line('-smbios', `guest=cf-${uid}`))).toBeUndefined();
  expect(machineOf(line('-name', `guest=cf-${uid}x`))).toBeUndefined();
  expect(machineOf([''])).toBeUndefined();
});

/** Programs of any name that run until they are ended. */
async function openPrograms() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const running: ChildProcess[] = [];
  const end = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return {
    end,
    async start(name: string, ...words: string[]): Promise<number> {
      const program = join(directory.path, name);
      writeFileSync(program, '#!/bin/sh\necho begun\nread -r line\n');
      chmodSync(program, 0o755);
      const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'ignore'] });
      running.push(child);
      await once(child.stdout, 'data');
      return child.pid!;
    },
    running,
    async [Symbol.asyncDispose]() {
      await Promise.all(running.map(end));
      await directory.remove();
    },
  };
}

test('machines’ processes are found, and cut; what only works on files, serves files or is somebody else’s is not', async () => {
  await using programs = await openPrograms();
  const { start, end, running } = programs;
  const [uid, other] = [randomUUID(), randomUUID()];
  const nameOf = (machine: string) => ['-name', `guest=cf-${machine},debug-threads=on`];
  const pid = await start('qemu-system-x86_64', ...nameOf(uid));
  const neighbour = await start('kvm', ...nameOf(other));
  const [stranger, server] = [await start('qemu-kvm', '-name', 'guest=theirs'), await start('virtiofsd')];
  const idle = [await start('qemu-img', ...nameOf(randomUUID())), await start('cat', ...nameOf(randomUUID()))];

  const processes = new QemuProcesses();
  const all = [pid, neighbour, stranger, server, ...idle];
  const seen = () => processes.look().flatMap((each) => (all.includes(each.pid) ? [[each.uid, each.pid]] : []));
  expect(seen().toSorted()).toEqual(
    [
      [uid, pid],
      [other, neighbour],
    ].toSorted(),
  );
  const guests = guestProcesses().filter((each) => all.includes(Number(each.pid)));
  expect(new Map(guests.map((each) => [Number(each.pid), each.guest()]))).toEqual(
    new Map([
      [pid, uid],
      [neighbour, other],
      [stranger, `process ${stranger}`],
      [server, `process ${server}`],
    ]),
  );

  expect(processes.cut(new Set([uid]))).toMatchObject([{ uid, pid }]);
  await vi.waitFor(() => expect(running[0]!.signalCode).toBe('SIGKILL'));
  expect(seen()).toEqual([[other, neighbour]]);
  await end(running[1]!);
  expect(seen()).toEqual([]);
});
