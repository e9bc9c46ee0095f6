/** The images that the hosts of a cluster share, each a file named by its digest. Imports put them there (import.ts). */
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface ImageStore {
  /** The path of an image. Throws Error if it is not there. */
  find(digest: string): Promise<string>;
  /** None if the store cannot be read: what is not seen is not used. */
  digests(): Promise<readonly string[]>;
}

export function imageStore(directory: string): ImageStore {
  return {
    async find(digest) {
      const path = join(directory, digest);
      await access(path).catch((cause) => {
        throw new Error(`The image ${digest} is not in the store ${directory}`, { cause });
      });
      return path;
    },
    async digests() {
      const files = await readdir(directory).catch(() => []);
      return files.filter((name) => /^[0-9a-f]{64}$/.test(name));
    },
  };
}
