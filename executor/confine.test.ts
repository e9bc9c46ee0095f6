import { execFile } from 'node:child_process';
import { chmod, mkdtempDisposable, open, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { confinedUser, runConfined } from './confine.ts';

const programs = ['prlimit', 'unshare', 'setpriv', 'ip', 'pgrep', 'qemu-img'];
const options = { files: [], deadlineMs: 10_000, fileBytes: 1024 };

describe.skipIf(whyNot(programs, { root: true }) !== undefined)('runConfined()', () => {
  const shell = (script: string, changes = {}) => runConfined('sh', ['-c', script], { ...options, ...changes });

  test('the program is nobody, alone, without network, environment or rights', async () => {
    const { stdout } = await shell(
      'id -u; ls /proc | grep -c "^[0-9]"; ip -o link | grep -vc "lo:.*DOWN"; env | grep -c VITEST',
    );
    // Itself, ls and grep.
    expect(stdout.split('\n').slice(0, 4)).toEqual([String(confinedUser), '3', '0', '0']);
    expect((await shell('grep CapEff /proc/self/status')).stdout).toMatch(/0{16}/);
  });

  test('a file is reached through its descriptor alone, and not beyond the limit', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    const path = join(directory.path, 'file');
    await writeFile(path, 'here');
    await using file = await open(path, 'r+');
    expect(await shell(`cat /dev/fd/3; cat ${path}`, { files: [file] })).toMatchObject({ status: 1, stdout: 'here' });
    expect((await shell('head -c 4096 /dev/zero >&3', { files: [file] })).status).not.toBe(0);
    expect((await readFile(path)).length).toBe(1024);
  });

  test('qemu-img has room for as many threads as it has on a host that is busy', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    const path = join(directory.path, 'file');
    await using file = await open(path, 'w+');
    await file.truncate(2 ** 26);
    await chmod(path, 0o666);
    // Each of 512 requests at once wants a thread of its own: it makes as many as it may.
    const requests = ['-w', '-t', 'writeback', '-c', '10000', '-d', '512', '-s', '4096', '-S', '4096'];
    const disk = 'driver=raw,file.driver=file,file.filename=/dev/fd/3,file.locking=off';
    const limits = { files: [file], deadlineMs: 60_000, fileBytes: 2 ** 27 };
    expect(await runConfined('qemu-img', ['bench', ...requests, '--image-opts', disk], limits)).toMatchObject({
      ...{ status: 0, stderr: '' },
    });
  }, 70_000);

  test('the deadline and an abort end all of it', async () => {
    const seconds = 1_000_000 + process.pid;
    const begun = performance.now();
    expect((await runConfined('sleep', [`${seconds}`], { ...options, deadlineMs: 500 })).status).toBeUndefined();
    const signal = AbortSignal.timeout(500);
    const error = await runConfined('sleep', [`${seconds}`], { ...options, signal }).catch((cause) => cause);
    expect(error).toBe(signal.reason);
    expect(error).toBeInstanceOf(DOMException);
    expect(performance.now() - begun).toBeLessThan(8000);
    await expect(runConfined('true', [], { ...options, signal })).rejects.toBe(signal.reason);
    const left = await runConfined('true', [], options);
    expect(left.status).toBe(0);
    await expect.poll(async () => await alive(seconds), { timeout: 3000 }).toBe(false);
  });
});

async function alive(seconds: number): Promise<boolean> {
  return await new Promise((resolve) => execFile('pgrep', ['-f', `^sleep ${seconds}`], (error) => resolve(!error)));
}
