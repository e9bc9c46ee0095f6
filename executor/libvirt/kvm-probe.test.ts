import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { probeKvm } from './kvm-probe.ts';

const emulated = { accel: 'tcg', cpu: 'qemu64' } as const;

describe.skipIf(whyNot(['qemu-system-x86_64', 'prlimit']) !== undefined)('probeKvm()', () => {
  async function openWorld() {
    const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    return { file: join(directory.path, 'kvm.json'), [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
  }

  test('a processor that does what a kernel asks of it runs the guest to its end', async () => {
    await using world = await openWorld();
    expect(await probeKvm({ ...world, bootId: 'b', machine: emulated })).toMatchObject({ boots: true });
  });

  test('a guest that does not end in time is a no, with why', async () => {
    await using world = await openWorld();
    const verdict = await probeKvm({ ...world, bootId: 'b', machine: emulated, deadlineMs: 50 });
    expect(verdict).toEqual({ boots: false, why: 'A guest of one sector: no end within 50 ms' });
  });

  test('QEMU that refuses is a no, in its words', async () => {
    await using world = await openWorld();
    const { boots, why } = await probeKvm({ ...world, bootId: 'b', machine: { accel: 'tcg', cpu: 'no-such-cpu' } });
    expect(boots).toBe(false);
    expect(why).toMatch(/^A guest of one sector: .*no-such-cpu/);
  });

  test('it is asked once per boot and QEMU, and again after a kill between', async () => {
    await using world = await openWorld();
    const no = { boots: false, why: 'as kept' };
    const ask = async (bootId: string) => await probeKvm({ ...world, bootId, machine: emulated });
    await ask('b');
    const kept = JSON.parse(await readFile(world.file, 'utf8')) as object;
    await writeFile(world.file, JSON.stringify({ ...kept, ...no }));
    expect(await ask('b')).toEqual(no);
    expect(await ask('another boot')).toMatchObject({ boots: true });
    await writeFile(world.file, JSON.stringify({ ...kept, ...no, qemu: 'another QEMU' }));
    expect(await ask('b')).toMatchObject({ boots: true });
    await writeFile(world.file, '{"bootId":"b","qe');
    expect(await ask('b')).toMatchObject({ boots: true });
  });
});
