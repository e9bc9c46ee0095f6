/** The directory of a Volume. Every step is safe to repeat after a kill anywhere between two; the marker is written last. */
import { access, mkdir, open, readFile, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { createDisk, qemuImgSize } from '../../images/qemu-img.ts';
import { VolumeError } from '../errors.ts';
import { onVolume, type VolumeSpec } from '../layout.ts';

type Marker = Pick<VolumeSpec, 'uid' | 'installation' | 'type'>;

/** The directory without its marker: quota is set on it before anybody may use it. */
export async function makeDirectory(root: string, { uid, type }: VolumeSpec): Promise<void> {
  await mkdir(join(root, type === 'Disk' ? onVolume.writers(uid) : onVolume.data(uid)), { recursive: true });
}

/** The disk, and with it or, for a shared directory, once its quota is in force, the marker. */
export async function makeDisk(root: string, spec: VolumeSpec): Promise<void> {
  const { uid, installation, type, bytes } = spec;
  if (type === 'Disk') await makeImage(join(root, onVolume.disk(uid)), bytes);
  else await requireQuota(join(root, onVolume.directory(uid)), bytes);
  await writeWhole(join(root, onVolume.marker(uid)), JSON.stringify({ uid, installation, type } satisfies Marker));
}

/** Throws VolumeError unless this is the Volume's own directory, complete. Answers what is used of it. */
export async function requireVolume(root: string, spec: VolumeSpec): Promise<{ readonly usedBytes: number }> {
  const { uid, installation, type, bytes } = spec;
  const marker = JSON.parse(await readFile(join(root, onVolume.marker(uid)), 'utf8').catch(absent(uid))) as Marker;
  if (marker.uid !== uid || marker.installation !== installation || marker.type !== type)
    throw new VolumeError(
      'NotProvisioned',
      `The directory of the Volume ${uid} belongs to another: ${JSON.stringify(marker)}`,
    );
  if (type === 'SharedFilesystem') return await requireQuota(join(root, onVolume.data(uid)), bytes);
  const disk = join(root, onVolume.disk(uid));
  await access(disk).catch(absent(uid));
  await using file = await open(disk, 'r');
  const { blocks } = await file.stat();
  return { usedBytes: blocks * 512 };
}

function absent(uid: string): (cause: NodeJS.ErrnoException) => never {
  return (cause) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new VolumeError(
      'NotProvisioned',
      `The Volume ${uid} is not on the Gluster volume: it was never made there, or is lost`,
      {
        cause,
      },
    );
  };
}

/** Everything of it, for good. The marker goes first, so that what is half removed is no Volume. */
export async function removeVolume(root: string, { uid }: { readonly uid: string }): Promise<void> {
  await rm(join(root, onVolume.marker(uid)), { force: true });
  await rm(join(root, onVolume.directory(uid)), { recursive: true, force: true });
}

/** Gluster tells of a directory with a quota as of a file system of that size. */
async function requireQuota(directory: string, bytes: number): Promise<{ readonly usedBytes: number }> {
  const { blocks, bsize, bfree } = await statfs(directory);
  if (Math.abs(blocks * bsize - bytes) > bsize)
    throw new VolumeError('QuotaFailed', `Gluster enforces ${blocks * bsize} bytes on the volume, not ${bytes}`);
  return { usedBytes: (blocks - bfree) * bsize };
}

async function makeImage(path: string, bytes: number): Promise<void> {
  const exists = await access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  if (exists) {
    const size = await qemuImgSize(path, 'qcow2');
    if (size === bytes) return;
    throw new VolumeError('VolumeFailed', `The disk has ${size} bytes, not ${bytes}`);
  }
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  await using file = await open(unfinished, 'wx', 0o600);
  await createDisk(file, bytes);
  await file.sync();
  await rename(unfinished, path);
}

async function writeWhole(path: string, content: string): Promise<void> {
  await using file = await open(`${path}.new`, 'w', 0o600);
  await file.writeFile(content);
  await file.sync();
  await rename(`${path}.new`, path);
}
