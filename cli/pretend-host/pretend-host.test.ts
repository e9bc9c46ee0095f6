import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { isPretendHostRunning, startPretendHost, stopPretendHost } from './pretend-host.ts';

test('a name that is no name and a directory too long for a socket are refused', async () => {
  await expect(startPretendHost({ name: 'a/b', dir: '/tmp/x' })).rejects.toThrow('Cannot name');
  await expect(startPretendHost({ name: 'a', dir: `/tmp/${'x'.repeat(100)}` })).rejects.toThrow('shorter directory');
});

describe.skipIf(whyNot(['libvirtd', 'virtlogd', 'qemu-system-x86_64', 'ip', 'nsenter'], { root: true }) !== undefined)(
  'a pretended host',
  { timeout: 120_000 },
  () => {
    test('starts once, loses its power, boots with a new id, leaves nothing when stopped', async () => {
      await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
      const options = { name: `cft-${randomBytes(5).toString('hex')}`, dir: join(directory.path, 'host') };
      const namespace = `/run/netns/${options.name}`;
      await using stack = new AsyncDisposableStack();
      stack.defer(() => stopPretendHost(options));

      const host = await startPretendHost(options);
      expect(await startPretendHost(options)).toEqual(host);
      const bootId = readFileSync(host.bootIdFile, 'utf8');

      process.kill(host.pid, 'SIGKILL');
      await vi.waitFor(() => expect(isPretendHostRunning(options.dir)).toBe(false), 10_000);
      const again = await startPretendHost(options);
      expect(again).toEqual({ ...host, pid: again.pid });
      expect(again.pid).not.toBe(host.pid);
      expect(readFileSync(host.bootIdFile, 'utf8')).not.toBe(bootId);

      expect(existsSync(namespace)).toBe(true);
      await stopPretendHost(options);
      await stopPretendHost(options);
      expect(existsSync(namespace)).toBe(false);
      expect(isPretendHostRunning(options.dir)).toBe(false);
    });
  },
);
