import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Every plant is tried by hack/chaos.ts --plant NAME; that the watching works at all is seen by two that need no luck. */
test.each(['acknowledgeBeforeStoring', 'killTheAdopted'])(
  '%s is found',
  (name) => {
    const args = ['hack/chaos.ts', '--seeds', '1-3', '--hours', '2', '--plant', name];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    expect(stdout).toContain(`${name} is found by seed`);
    expect(status).toBe(1);
  },
  120_000,
);
