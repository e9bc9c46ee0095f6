/** What is on a Gluster volume that belongs to no Volume, and its end. What does not bear our mark is nobody's to remove. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { knownDigits, type Stray } from '#lib/api/messages.ts';
import { removeTree } from '../../remove-tree.ts';
import { VolumeError } from '../errors.ts';
import { isUid, onVolume } from '../layout.ts';
import { usageOf } from './directories.ts';

interface Mark {
  readonly uid: string;
  readonly installation: string;
  readonly type: Stray['type'];
}

/** Told of at once. */
const straysMax = 32;
/** Looked at: each takes a question to the bricks. */
const looksMax = 4096;

/** Those that were made first. `known`: the first digits of uids that are not spoken of. */
export async function findStrays(
  root: string,
  { installation, known }: { readonly installation: string; readonly known: readonly string[] },
): Promise<{ readonly count: number; readonly strays: readonly Stray[]; readonly unmarked: number }> {
  const [names, mine] = [await readdir(join(root, onVolume.all)).catch(unlessThere), new Set(known)];
  const unknown = (names ?? []).filter((name) => isUid(name) && !mine.has(name.slice(0, knownDigits)));
  const found: Omit<Stray, 'bytes'>[] = [];
  let unmarked = 0;
  for (const uid of unknown.slice(0, looksMax)) {
    const mark = await readMark(root, uid);
    if (mark === undefined) unmarked++;
    else if (mark.installation === installation)
      found.push({ uid, type: mark.type, madeMs: Math.floor((await stat(join(root, onVolume.marker(uid)))).mtimeMs) });
  }
  const first = found.toSorted((a, b) => a.madeMs - b.madeMs).slice(0, straysMax);
  const used = await usageOf(
    root,
    first.map(({ uid }) => uid),
  );
  const strays = first.map((stray) => ({
    ...stray,
    ...(used[stray.uid] !== undefined && { bytes: used[stray.uid]! }),
  }));
  return { count: found.length, strays, unmarked };
}

/** The mark goes last, so that what is half removed can be removed by whoever comes next. Throws VolumeError. */
export async function discardVolume(
  root: string,
  { uid, installation }: { readonly uid: string; readonly installation: string },
): Promise<void> {
  const inside = await readdir(join(root, onVolume.directory(uid))).catch(unlessThere);
  if (inside === undefined) return await removeTree(join(root, onVolume.all), basename(onVolume.sizes(uid)));
  const mark = await readMark(root, uid);
  if (mark === undefined)
    throw new VolumeError(
      'NotProvisioned',
      `The directory ${uid} has no mark: whose it is nobody knows. Look at it, and remove it by hand`,
    );
  if (mark.installation !== installation || mark.uid !== uid)
    throw new VolumeError(
      'NotProvisioned',
      `The directory ${uid} belongs to another installation: ${JSON.stringify(mark)}`,
    );
  const last = basename(onVolume.marker(uid));
  const rest = inside.filter((name) => name !== last);
  for (const name of rest) await removeTree(join(root, onVolume.all), uid, name);
  for (const name of [basename(onVolume.sizes(uid)), uid]) await removeTree(join(root, onVolume.all), name);
}

/** undefined: there is none, or none that can be read as one. */
async function readMark(root: string, uid: string): Promise<Mark | undefined> {
  const text = await readFile(join(root, onVolume.marker(uid)), 'utf8').catch(unlessThere);
  try {
    const mark = JSON.parse(text ?? '') as Partial<Mark>;
    const isWhole =
      mark.uid === uid &&
      typeof mark.installation === 'string' &&
      (mark.type === 'Disk' || mark.type === 'SharedFilesystem');
    return isWhole ? (mark as Mark) : undefined;
  } catch {
    return undefined;
  }
}

function unlessThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
