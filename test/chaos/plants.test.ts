import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { plants } from './plants.ts';

const root = join(import.meta.dirname, '../..');

test.each(Object.entries(plants))('%s can still be planted', (_, { file, find }) => {
  expect(readFileSync(join(root, file), 'utf8').split(find)).toHaveLength(2);
});

/** hack/chaos.ts --plants tries all of them; that the watching works at all is seen by some that need little luck. */
test.each(['acknowledgeBeforeStoring', 'killTheAdopted', 'launchBeforeIntent', 'subscribeWithoutLease'])(
  '%s is found',
  (name) => {
    const args = ['hack/chaos.ts', '--seeds', '1-3', '--hours', '2', '--plant', name];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    expect(stdout).toContain(`${name} is found by seed`);
    expect(status).toBe(1);
  },
  120_000,
);
