/**
 * A program of one deed on a mount, so that the executor itself never touches a file system that may not answer. Reads a request from
 * standard input, writes an answer to standard output. It works on the mount that it was told of and no other: it opens the mount point
 * once, looks at which mount that is, and goes by that open directory from there.
 */
import { constants } from 'node:os';
import { text } from 'node:stream/consumers';
import { systemClock } from '#lib/std/clock.ts';
import { VolumeError } from '../errors.ts';
import { growDisk, makeDirectory, makeDisk, removeVolume, requireVolume, wantSize } from './directories.ts';
import { fillDisk, filledOf } from './fill.ts';
import { type MountRef, openMount, pathOf } from './mount.ts';
import { probe } from './probe.ts';
import { discardVolume, findStrays } from './strays.ts';
import { claimWriter } from './writers.ts';

const deeds = {
  ...{ probe, makeDirectory, wantSize, makeDisk, growDisk, requireVolume, removeVolume, claimWriter },
  ...{ fillDisk, filledOf, findStrays, discardVolume },
} as const;

export type Deeds = typeof deeds;

const staleMs = 400;

export interface HandRequest extends MountRef {
  readonly deed: keyof Deeds;
  readonly argument: unknown;
}

export type HandAnswer =
  | { readonly value: unknown }
  | { readonly error: string; readonly code?: string; readonly reason?: VolumeError['reason'] };

async function obey({ deed, argument, ...mount }: HandRequest): Promise<unknown> {
  await using root = await openMount(mount);
  const act = deeds[deed] as (root: string, argument: never) => Promise<unknown>;
  return await act(pathOf(root), argument as never);
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
