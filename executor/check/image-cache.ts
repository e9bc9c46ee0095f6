/** Copies of images on the host, where its configuration asks for them. */
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type Check, failed, ok, warning } from './check.ts';
import { directory, isShared } from './directories.ts';

const gib = 2 ** 30;
const inGiB = (bytes: number): string => `${Number((bytes / gib).toFixed(1))} GiB`;

export const imageCache: Check = {
  name: 'imageCache',
  async look({ imageCache: cache, root }) {
    if (!cache) return [];
    await directory(cache.directory);
    const owner = await readFile(join(cache.directory, 'owner'), 'utf8').catch(() => root);
    if (owner !== root)
      return [failed(`${cache.directory} belongs to the executor of ${owner}: give this one a directory of its own`)];
    if (await isShared(cache.directory))
      return [failed(`${cache.directory} is on a mount: copies are to be on a disk of this host`)];
    const { blocks, bavail, bsize } = await statfs(cache.directory);
    const text = `${cache.directory}, up to ${inGiB(cache.bytes)} on a disk with ${inGiB(bavail * bsize)} free`;
    return [cache.bytes > blocks * bsize ? warning(`${text}, which is not so large`) : ok(text)];
  },
};
