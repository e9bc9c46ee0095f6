/** On a directory of the host with what Gluster's client makes up; on real Gluster in ../volumes.test.ts. */
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requireSafeHost } from '../layout.ts';
import { probe } from './probe.ts';

test('hosts that look at once make nothing that another makes, too: files of their own in the root, and no directory', async () => {
  await using mount = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const replica = join(mount.path, '.meta/graphs/active/vm-replicate-0');
  mkdirSync(replica, { recursive: true });
  writeFileSync(join(replica, 'private'), 'child_up[0] = 1\nchild_up[1] = 0\nquorum-type = auto\n');
  const longest = 'h'.repeat(200);
  requireSafeHost(longest);
  const hosts = ['host-1', 'host-2', longest];
  // The second round finds what the first has left.
  for (const _ of [1, 2]) {
    const seen = await Promise.all(hosts.map(async (host) => await probe(mount.path, { host, uids: [] })));
    for (const each of seen)
      expect(each).toMatchObject({ replicas: [{ up: [true, false], quorum: 'auto' }], used: {} });
  }
  const made = readdirSync(mount.path).filter((name) => name !== '.meta');
  expect(made.toSorted()).toEqual(hosts.map((host) => `.cf-host-${host}`).toSorted());
  for (const name of made) expect(statSync(join(mount.path, name)).isFile()).toBe(true);
});
