/**
 * A program of one deed on a mount, so that the executor itself never touches a file system that may not answer. Reads a request from
 * standard input, writes an answer to standard output. It works on the mount that it was told of and no other: it opens the mount point
 * once, looks at which mount that is, and goes by that open directory from there.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { VolumeError } from '../errors.ts';
import { makeDirectory, makeDisk, removeVolume, requireVolume } from './directories.ts';
import { probe } from './probe.ts';
import { claimWriter, releaseWriter } from './writers.ts';

const deeds = { probe, makeDirectory, makeDisk, requireVolume, removeVolume, claimWriter, releaseWriter } as const;

export type Deeds = typeof deeds;

export interface HandRequest {
  readonly deed: keyof Deeds;
  readonly point: string;
  /** As in mountinfo. */
  readonly mountId: number;
  readonly argument: unknown;
}

export type HandAnswer =
  | { readonly value: unknown }
  | { readonly error: string; readonly code?: string; readonly reason?: VolumeError['reason'] };

async function obey({ deed, point, mountId, argument }: HandRequest): Promise<unknown> {
  await using root = await open(point, 'r');
  await requireMount(root, point, mountId);
  const act = deeds[deed] as (root: string, argument: never) => Promise<unknown>;
  return await act(`/proc/self/fd/${root.fd}`, argument as never);
}

/** Whatever happens at the mount point from now on, `root` stays on this mount. */
async function requireMount(root: FileHandle, point: string, mountId: number): Promise<void> {
  const info = await readFile(`/proc/self/fdinfo/${root.fd}`, 'utf8');
  const seen = Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1]);
  if (seen !== mountId) throw new VolumeError('Unmounted', `${point} is not mount ${mountId} any more but ${seen}`);
}

async function answer(): Promise<HandAnswer> {
  try {
    const value = await obey(JSON.parse(await text(process.stdin)) as HandRequest);
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
