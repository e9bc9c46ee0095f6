/** Directories that the configuration names. */
import { constants } from 'node:fs';
import { access, mkdir, statfs } from 'node:fs/promises';

/** Magic numbers of file systems that several hosts see, as statfs(2) lists them: FUSE (GlusterFS), NFS, Ceph, CIFS. */
const sharedTypes: ReadonlySet<number> = new Set([0x65735546, 0x6969, 0x00c36400, 0xff534d42]);

/** Makes it as the executor would. Throws Error if it cannot be made or written to. */
export async function directory(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
}

export async function isShared(path: string): Promise<boolean> {
  return sharedTypes.has((await statfs(path)).type);
}
