/**
 * A disk with what another has: of an image, or of another Volume that nobody writes to. It is written beside the disk's place, under a name of
 * this host's and this try's, and has the disk's name only when it is whole. Whoever is at it twice, or after a kill, makes a file of its own; the first
 * to be ready has made the disk, and the files of all others go.
 */
import { randomUUID } from 'node:crypto';
import { constants, type FileHandle, link, open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '#lib/std/errors.ts';
import { checkQcow2, headOf } from '../../images/qcow2-header.ts';
import { copyToDisk, type FillLimits, resizeQcow2 } from '../../images/qemu-img.ts';
import { VolumeError } from '../errors.ts';
import { onVolume } from '../layout.ts';
import { isThere } from './directories.ts';
import { type MountRef, openMount, pathOf } from './mount.ts';

export type FillFrom =
  | { readonly path: string; readonly format: 'qcow2' | 'raw' }
  | { readonly mount: MountRef; readonly uid: string };

export interface FillRequest {
  readonly uid: string;
  /** Unlike all other hosts'. */
  readonly host: string;
  readonly from: FillFrom;
}

const parentMs = 1_000;
/** Tables of qcow2, and what is aligned in it. */
const slackBytes = 64 * 2 ** 20;
const slackShare = 1 / 1024;
/** Of the Gluster volume, for those who write to what is there. */
const spareShare = 0.05;

/** Nothing if the disk is there. Its directory is. Throws VolumeError. */
export async function fillDisk(
  root: string,
  { uid, host, from, bytes, deadlineMs }: FillRequest & { readonly bytes: number; readonly deadlineMs: number },
): Promise<void> {
  const [directory, disk] = [join(root, onVolume.directory(uid)), join(root, onVolume.disk(uid))];
  if (await isThere(disk)) return;
  await removeDrafts(directory, onVolume.fills(host));
  const draft = join(directory, `${onVolume.fills(host)}${randomUUID()}`);
  await using source = await openSource(from);
  await using output = await open(draft, 'wx+', 0o600);
  using parent = untilOrphaned();
  try {
    await copy(source, output, { directory, bytes, deadlineMs, signal: parent.signal });
    await output.sync();
    await link(draft, disk);
  } catch (error) {
    // Another was faster, and has removed ours.
    if (!(await isThere(disk))) throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await removeDrafts(directory, '');
}

/** Nobody waits any more when the executor was killed, and its next life begins anew. */
function untilOrphaned(): { readonly signal: AbortSignal } & Disposable {
  const parent = process.ppid;
  const orphaned = new AbortController();
  const timer = setInterval(() => {
    if (process.ppid !== parent) orphaned.abort(new Error('The executor has ended'));
  }, parentMs);
  return { signal: orphaned.signal, [Symbol.dispose]: () => clearInterval(timer) };
}

/** Bytes that are copied, and that there are to copy. */
export async function filledOf(
  root: string,
  { uid, host, from }: FillRequest,
): Promise<{ readonly done: number; readonly all: number }> {
  const directory = join(root, onVolume.directory(uid));
  const draft = (await draftsIn(directory, onVolume.fills(host)))[0];
  await using source = await openSource(from);
  const { blocks } = await source.file.stat();
  return { done: draft === undefined ? 0 : (await stat(join(directory, draft))).blocks * 512, all: blocks * 512 };
}

type Source = Parameters<typeof copyToDisk>[0] & AsyncDisposable;

async function openSource(from: FillFrom): Promise<Source> {
  if ('path' in from) {
    const file = await open(from.path, 'r');
    return { file, format: from.format, isImage: true, [Symbol.asyncDispose]: async () => await file.close() };
  }
  await using mount = await openMount(from.mount);
  const path = join(pathOf(mount), onVolume.disk(from.uid));
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return { file, format: 'qcow2', isImage: false, [Symbol.asyncDispose]: async () => await file.close() };
}

async function copy(
  source: Source,
  output: FileHandle,
  {
    directory,
    bytes,
    ...limits
  }: { readonly directory: string; readonly bytes: number } & Omit<FillLimits, 'fileBytes'>,
): Promise<void> {
  const virtualSize = await sizeOf(source);
  if (virtualSize > bytes)
    throw new VolumeError('VolumeFailed', `What is to be on it has ${virtualSize} bytes, more than its own ${bytes}`);
  const { bavail, blocks, bsize } = await statfs(directory);
  const free = Math.max(0, Math.floor((bavail - blocks * spareShare) * bsize));
  const fileBytes = Math.min(free, Math.ceil(virtualSize * (1 + slackShare)) + slackBytes);
  const refusal = await copyToDisk(source, output, { ...limits, fileBytes });
  if (refusal !== undefined) {
    const { size } = await output.stat();
    if (fileBytes === free && size > free - slackBytes)
      throw new VolumeError('NoRoom', `A copy needs more than the ${free} bytes that the Gluster volume can spare`);
    throw new VolumeError('VolumeFailed', `qemu-img cannot copy it: ${refusal}`);
  }
  if (checkQcow2(await headOf(output)) !== virtualSize)
    throw new VolumeError('VolumeFailed', `qemu-img made another disk than one of ${virtualSize} bytes`);
  if (virtualSize < bytes) await resizeQcow2(output, bytes);
}

/** A guest wrote to a Volume, and perhaps a QEMU that it had taken over: what that stands on is read by us before a program of QEMU's sees it. */
async function sizeOf({ file, format, isImage }: Source): Promise<number> {
  if (format === 'raw') return (await file.stat()).size;
  try {
    return checkQcow2(await headOf(file));
  } catch (cause) {
    const what = isImage ? 'The file of the image' : 'The disk of the Volume that is to be copied';
    throw new VolumeError('BadDisk', `${what} is not used: ${messageOf(cause)}`, { cause });
  }
}

async function draftsIn(directory: string, prefix: string): Promise<readonly string[]> {
  const names = await readdir(directory);
  return names.filter((name) => name.startsWith('fill-') && name.startsWith(prefix));
}

async function removeDrafts(directory: string, prefix: string): Promise<void> {
  for (const name of await draftsIn(directory, prefix)) await rm(join(directory, name), { force: true });
}
