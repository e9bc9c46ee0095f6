import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * The outermost directory on the way to `path` (which may not exist yet) that users other than its owner cannot enter; undefined if
 * there is none. QEMU runs as a user of its own and reports only that permission was denied.
 */
export function firstUntraversable(path: string): string | undefined {
  const outer = dirname(path) === path ? undefined : firstUntraversable(dirname(path));
  if (outer !== undefined) return outer;
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() && (found.mode & 0o001) === 0 ? path : undefined;
}
