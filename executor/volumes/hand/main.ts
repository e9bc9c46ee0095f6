/**
 * A program of one deed on a mount, so that the executor itself never touches a file system that may not answer. Reads a request from
 * standard input, writes an answer to standard output. It works on the mount that it was told of and no other: it opens the mount point
 * once, looks at which mount that is, and goes by that open directory from there.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { text } from 'node:stream/consumers';
import { systemClock } from '#lib/std/clock.ts';
import { VolumeError } from '../errors.ts';
import { parseMountinfo } from '../mountinfo.ts';
import { growDisk, makeDirectory, makeDisk, removeVolume, requireVolume, wantSize } from './directories.ts';
import { probe } from './probe.ts';
import { claimWriter } from './writers.ts';

const deeds = { probe, makeDirectory, wantSize, makeDisk, growDisk, requireVolume, removeVolume, claimWriter } as const;

export type Deeds = typeof deeds;

/** As in mountinfo. */
export interface MountRef {
  readonly point: string;
  readonly mountId: number;
  readonly source: string;
}

const staleMs = 400;

export interface HandRequest extends MountRef {
  readonly deed: keyof Deeds;
  readonly argument: unknown;
}

export type HandAnswer =
  | { readonly value: unknown }
  | { readonly error: string; readonly code?: string; readonly reason?: VolumeError['reason'] };

async function obey({ deed, point, mountId, source, argument }: HandRequest): Promise<unknown> {
  await using root = await open(point, 'r');
  await requireMount(root, { point, mountId, source });
  const act = deeds[deed] as (root: string, argument: never) => Promise<unknown>;
  return await act(`/proc/self/fd/${root.fd}`, argument as never);
}

/** Whatever happens at the mount point from now on, `root` stays on this mount. */
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

/**
 * ESTALE: another host has removed at the same moment what Gluster's client had looked up, and which the kernel remembers for a second. Every
 * deed may be done again.
 */
async function insist(request: HandRequest, triesLeft = 5): Promise<unknown> {
  try {
    return await obey(request);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).errno !== -constants.errno.ESTALE || triesLeft === 0) throw error;
    await systemClock.sleep(staleMs);
    return await insist(request, triesLeft - 1);
  }
}

async function answer(): Promise<HandAnswer> {
  try {
    const value = await insist(JSON.parse(await text(process.stdin)) as HandRequest);
    return { value: value ?? null };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      error: error instanceof Error ? error.message : String(error),
      ...(code === undefined ? {} : { code }),
      ...(error instanceof VolumeError ? { reason: error.reason } : {}),
    };
  }
}

process.stdout.write(JSON.stringify(await answer()));
