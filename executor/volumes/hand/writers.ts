/**
 * Who may write to a disk: whoever has the highest token. The control plane makes tokens that grow, and each only after whoever had the one
 * before is proven gone; so the disk need not know who is gone, only never let an older one in: a launch that was long on its way, or
 * a control plane that was restored from a copy. A token is a file beside the disk, made whole and once (a link); the highest stays.
 */
import { link, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { VolumeError } from '../errors.ts';
import { onVolume } from '../layout.ts';

/** `grant` grows with every machine that gets the disk, `attempt` with every launch of that machine. */
export interface WriterToken {
  /** uid of the machine. */
  readonly machine: string;
  readonly grant: number;
  readonly attempt: number;
}

interface Found {
  readonly name: string;
  readonly grant: number;
  readonly attempt: number;
}

/** Repeatable. Throws VolumeError WriterHeld if a later token than this one was ever here. */
export async function claimWriter(
  root: string,
  { uid, token }: { readonly uid: string; readonly token: WriterToken },
): Promise<void> {
  const directory = join(root, onVolume.writers(uid));
  // Nothing is written for one that comes too late.
  requireNewest(uid, token, await found(directory));
  const name = `${token.grant}.${token.attempt}`;
  await put(directory, name, token);
  const now = await found(directory);
  requireNewest(uid, token, now);
  const holder = await read(join(directory, name));
  if (holder === undefined) return requireNewest(uid, token, await found(directory));
  if (holder.machine !== token.machine)
    throw new VolumeError('WriterHeld', `The disk ${uid} was given to machine ${holder.machine} by the same token`);
  for (const older of now) if (compare(older, token) < 0) await rm(join(directory, older.name), { force: true });
}

function requireNewest(uid: string, token: WriterToken, known: readonly Found[]): void {
  const newer = known.find((one) => compare(one, token) > 0);
  if (!newer) return;
  throw new VolumeError(
    'WriterHeld',
    `The disk ${uid} was given to another since (grant ${newer.grant}, attempt ${newer.attempt}): grant ${token.grant}, attempt ` +
      `${token.attempt} must not write to it any more`,
  );
}

async function put(directory: string, name: string, token: WriterToken): Promise<void> {
  const draft = join(directory, `${name}.${token.machine}.draft`);
  {
    await using file = await open(draft, 'w', 0o600);
    await file.writeFile(JSON.stringify(token));
    await file.sync();
  }
  try {
    await link(draft, join(directory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** undefined: a later one has removed it meanwhile. */
async function read(path: string): Promise<WriterToken | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as WriterToken;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

async function found(directory: string): Promise<readonly Found[]> {
  return (await readdir(directory)).flatMap((name) => {
    const match = /^(\d+)\.(\d+)$/.exec(name);
    return match ? [{ name, grant: Number(match[1]), attempt: Number(match[2]) }] : [];
  });
}

function compare(one: Omit<WriterToken, 'machine'>, other: Omit<WriterToken, 'machine'>): number {
  return one.grant - other.grant || one.attempt - other.attempt;
}
