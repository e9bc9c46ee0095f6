/**
 * Who may write to a disk, as a row of numbered files beside it, each made once and never changed: the one with the highest number holds,
 * by a token or as released. A file appears whole or not at all (a link), and of two hosts that make the same number one fails, so that a
 * claim needs no lock; after it the row is read again, because old numbers are removed and could be made by one who slept.
 */
import { link, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { VolumeError } from '../errors.ts';
import { onVolume } from '../layout.ts';

/** One life of a machine on one boot of a host: what the control plane can prove gone. */
export interface WriterToken {
  /** uid of the machine. */
  readonly machine: string;
  readonly attempt: number;
  readonly bootId: string;
}

interface Entry {
  readonly number: number;
  /** Absent: released. */
  readonly token?: WriterToken;
}

export interface Claim {
  readonly uid: string;
  readonly token: WriterToken;
  /** A holder that the control plane has proven gone: it may be replaced. */
  readonly gone?: WriterToken;
}

/** Repeatable. Throws VolumeError WriterHeld while another holds it. */
export async function claimWriter(root: string, { uid, token, gone }: Claim): Promise<void> {
  const directory = join(root, onVolume.writers(uid));
  const last = await lastEntry(directory);
  if (isSame(last.token, token)) return;
  if (last.token && !isSame(last.token, gone)) throw held(uid, last.token);
  const now = await append(directory, { number: last.number + 1, token }, token);
  if (!isSame(now.token, token)) throw held(uid, now.token);
}

/** Repeatable; nothing if another holds it or nobody does. */
export async function releaseWriter(root: string, { uid, token }: Omit<Claim, 'gone'>): Promise<void> {
  const directory = join(root, onVolume.writers(uid));
  const last = await lastEntry(directory);
  if (isSame(last.token, token)) await append(directory, { number: last.number + 1 }, token);
}

/** Who holds it after all. */
async function append(directory: string, entry: Entry, by: WriterToken): Promise<Entry> {
  const path = join(directory, String(entry.number));
  const draft = `${path}.${by.machine}.${by.attempt}.${by.bootId}`;
  await writeDraft(draft, entry);
  try {
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  const last = await lastEntry(directory);
  for (const number of await numbers(directory))
    if (number < last.number) await rm(join(directory, String(number)), { force: true });
  return last;
}

async function writeDraft(path: string, entry: Entry): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(JSON.stringify(entry));
  await file.sync();
}

async function lastEntry(directory: string, triesLeft = 5): Promise<Entry> {
  const number = Math.max(0, ...(await numbers(directory)));
  if (number === 0) return { number };
  try {
    return JSON.parse(await readFile(join(directory, String(number)), 'utf8')) as Entry;
  } catch (error) {
    // Removed meanwhile: then there is a higher one.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || triesLeft === 0) throw error;
    return await lastEntry(directory, triesLeft - 1);
  }
}

async function numbers(directory: string): Promise<readonly number[]> {
  return (await readdir(directory)).filter((name) => /^\d+$/.test(name)).map(Number);
}

function isSame(one: WriterToken | undefined, other: WriterToken | undefined): boolean {
  return one?.machine === other?.machine && one?.attempt === other?.attempt && one?.bootId === other?.bootId;
}

function held(uid: string, by: WriterToken | undefined): VolumeError {
  const holder = by
    ? `machine ${by.machine}, attempt ${by.attempt}, boot ${by.bootId}`
    : 'somebody who released it since';
  return new VolumeError('WriterHeld', `The disk ${uid} is held by ${holder}; it is free when that is proven gone`);
}
