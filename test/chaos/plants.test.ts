import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { plants, requirePlantable } from './plants.ts';

const root = join(import.meta.dirname, '../..');

test.each(Object.keys(plants))('%s can still be planted', (name) => {
  expect(() => requirePlantable(name)).not.toThrow();
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
