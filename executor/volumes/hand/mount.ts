/** The mount that a deed is done on, and no other that may have taken its place. */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { VolumeError } from '../errors.ts';
import { parseMountinfo } from '../mountinfo.ts';

/** As in mountinfo. */
export interface MountRef {
  readonly point: string;
  readonly mountId: number;
  readonly source: string;
}

/** Whatever happens at the mount point from now on, what is opened stays on this mount. Throws VolumeError. */
export async function openMount(ref: MountRef): Promise<FileHandle> {
  const root = await open(ref.point, 'r');
  try {
    await requireMount(root, ref);
    return root;
  } catch (error) {
    await root.close();
    throw error;
  }
}

/** How files below it are named. */
export function pathOf({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}

async function requireMount(root: FileHandle, { point, mountId, source }: MountRef): Promise<void> {
  const info = await readFile(`/proc/self/fdinfo/${root.fd}`, 'utf8');
  const seen = Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1]);
  // The kernel gives numbers again.
  const entry = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8')).find(({ id }) => id === seen);
  if (seen !== mountId || entry?.source !== source)
    throw new VolumeError(
      'Unmounted',
      `${point} is not mount ${mountId} of ${source} any more but ${seen} of ${entry?.source}`,
    );
}
