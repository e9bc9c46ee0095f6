import { expect, test } from 'vitest';
import { askFor } from '#controllers/scheduler/overhead.ts';
import { memoryLimitMiB } from '#executor/libvirt/limits.ts';

test.each([64, 96, 1000, 4096, 262_144])(
  'QEMU of a guest of %i MiB is limited to what its task was given',
  (memoryMiB) => {
    expect(memoryLimitMiB({ memoryMiB }, true) * 1000).toBe(askFor({ cores: 1, memoryMiB }).mem);
  },
);
