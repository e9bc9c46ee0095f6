/**
 * What libvirt keeps of a guest that runs, on the disk of the host: `domain-<id>-<name>` with its master key and sockets. After a power cut
 * libvirt never looks at it again. Directories that bear the name of a machine of ours go as soon as no guest runs under that id and name.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from '../remove-tree.ts';

/** Of every domain that runs, whoever made it. */
export interface RunningDomain {
  readonly id: number;
  readonly name: string;
}

/** libvirt cuts names there (VIR_DOMAIN_SHORT_NAME_MAX): what is left of `cf-<uid>`. */
const shortNameMax = 20;
const ofOurs = /^domain-\d+-cf-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{3}$/;
/** Where libvirt makes such directories. */
const places = [[], ['channel', 'target']] as const;
/** One that is being made belongs to a domain that libvirt may not name yet. */
const youngMs = 60_000;

/** Returns what was removed. `running` is asked after the directories were seen: what is made later is not touched. */
export async function removeRuntimeFiles(
  directory: string,
  running: () => Promise<readonly RunningDomain[]>,
  nowMs: number,
): Promise<readonly string[]> {
  const found = (await Promise.all(places.map(async (place) => await directoriesIn(directory, place)))).flat();
  if (found.length === 0) return [];
  const used = new Set((await running()).map(({ id, name }) => `domain-${id}-${name.slice(0, shortNameMax)}`));
  const removed: string[] = [];
  for (const { place, name, changedMs } of found) {
    if (used.has(name) || nowMs - changedMs < youngMs) continue;
    // All of it belongs to QEMU's user, and so to every guest that has taken its QEMU over.
    await removeTree(directory, ...place, name);
    removed.push(join(directory, ...place, name));
  }
  return removed;
}

async function directoriesIn(directory: string, place: readonly string[]) {
  const at = join(directory, ...place);
  const entries = await readdir(at, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const ours = entries.filter((entry) => entry.isDirectory() && ofOurs.test(entry.name));
  return await Promise.all(
    ours.map(async ({ name }) => {
      const changedMs = await stat(join(at, name)).then(
        ({ ctimeMs }) => ctimeMs,
        () => Number.POSITIVE_INFINITY,
      );
      return { place, name, changedMs };
    }),
  );
}
