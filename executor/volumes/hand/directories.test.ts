/** The disk of a Volume on any file system; on real Gluster in ../volumes.test.ts. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { onVolume, type VolumeSpec } from '../layout.ts';
import { makeDirectory, makeDisk, requireVolume } from './directories.ts';

const uid = '0f8fad5b-d9cb-469f-a165-70867728950e';
const spec = { uid, installation: 'i', type: 'Disk', bytes: 2 ** 20 } as VolumeSpec;

describe.skipIf(whyNot(['qemu-img', 'prlimit']) !== undefined)('the disk of a Volume', () => {
  test.each([
    ['a backing file', ['-b', '/etc/shadow', '-F', 'raw']],
    ['another file for its data', ['-o', 'data_file=CANARY,data_file_raw=on']],
  ])('is used as it was made, and not once its header names %s', async (_, options) => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    const root = directory.path;
    await makeDirectory(root, spec);
    await makeDisk(root, spec);
    await requireVolume(root, spec);
    const path = join(root, onVolume.disk(uid));
    const words = options.map((word) => word.replace('CANARY', join(root, 'canary')));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...words, path, '1M']);
    const refused = { reason: 'VolumeFailed', message: expect.stringMatching(/was not opened/) };
    await expect(requireVolume(root, spec)).rejects.toMatchObject(refused);
    rmSync(path);
    await expect(requireVolume(root, spec)).rejects.toMatchObject({ reason: 'NotProvisioned' });
  });
});
