/**
 * Removes directories in which somebody else may write meanwhile: a guest by its share, or a QEMU that its guest has taken over. Who swaps a
 * directory for a link between our look at it and our next step must not lead us out of it, which Node's own `rm` does not promise. So each
 * directory is opened once, never through a link, and what is in it is named by that open directory, wherever it is moved meanwhile: the
 * kernel's openat(), which Node does not have, by way of /proc.
 */
import { randomUUID } from 'node:crypto';
import { constants, type FileHandle, open, readdir, rename, rmdir, unlink } from 'node:fs/promises';

/** Never with O_PATH: that opens the link itself, and its open file leads on to where the link leads. */
const directoryOnly = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** A guest makes as many levels as it likes, and each takes an open file: what is deeper is moved up first. */
const depthMax = 32;
const movesMax = 10_000;
/** Names of files that are removed at once. */
const batch = 16;
/** So often something new may be found in a directory that was empty a moment ago. */
const roundsMax = 5;

/** An open directory, and the file system that it is on. */
interface Opened {
  readonly handle: FileHandle;
  readonly device: number;
}

/**
 * Removes what is at `steps` below `root`, whatever it is; nothing if there is nothing. `root` and the way to it are nobody's but ours to change.
 * Throws if somebody goes on to write into what is removed, or another file system is mounted in it: what could be removed is gone then.
 */
export async function removeTree(root: string, ...steps: readonly string[]): Promise<void> {
  const last = steps.at(-1) ?? '';
  for (const step of [...steps, last]) requireName(step);
  await using opened = new AsyncDisposableStack();
  const handle = await open(root, constants.O_RDONLY | constants.O_DIRECTORY).catch(unless('ENOENT'));
  if (handle === undefined) return;
  opened.use(handle);
  let parent: Opened = { handle, device: (await handle.stat()).dev };
  for (const step of steps.slice(0, -1)) {
    const next = await openIn(parent, Buffer.from(step));
    if (next === undefined) return;
    opened.use(next.handle);
    parent = next;
  }
  await new Removal().remove(parent, Buffer.from(last));
}

/** What is no name of its own could lead back. */
function requireName(step: string): void {
  if (step === '' || step === '.' || step === '..' || /[/\0]/.test(step))
    throw new TypeError(`Cannot remove ${JSON.stringify(step)}: not the name of a file`);
}

class Removal {
  #moves = 0;

  /** `levels`: directories above it that are removed with it, the topmost first. */
  async remove(parent: Opened, name: Buffer, levels: readonly Opened[] = []): Promise<void> {
    for (let round = 0; round < roundsMax; ) {
      if (await isUnlinked(parent, name)) return;
      const moves = this.#moves;
      const directory = await openIn(parent, name);
      if (directory !== undefined) {
        await using _ = directory.handle;
        await this.#empty(directory, [...levels, directory]);
        if (await isEmptyAndGone(parent, name)) return;
      }
      if (this.#moves === moves) round += 1;
    }
    throw new Error(`Cannot remove ${name}: somebody goes on to write there; have them stop, and it is tried again`);
  }

  async #empty(directory: Opened, levels: readonly Opened[]): Promise<void> {
    // Names need not be text.
    const names = await readdir(at(directory, '.'), { encoding: 'buffer' });
    for (let start = 0; start < names.length; start += batch) {
      const some = names.slice(start, start + batch);
      const unlinked = await Promise.all(some.map(async (name) => await isUnlinked(directory, name)));
      for (const name of some.filter((_, index) => !unlinked[index])) {
        if (levels.length < depthMax) await this.remove(directory, name, levels);
        else await this.#moveUp(directory, name, levels[0]!);
      }
    }
  }

  /** It is met there in the next round. */
  async #moveUp(directory: Opened, name: Buffer, top: Opened): Promise<void> {
    if (this.#moves === movesMax) throw new Error(`Cannot remove ${name}: it has more levels than a file system needs`);
    this.#moves += 1;
    await rename(at(directory, name), at(top, randomUUID())).catch(unless('ENOENT'));
  }
}

/** False if it is a directory. True also if it is not there. */
async function isUnlinked(parent: Opened, name: Buffer): Promise<boolean> {
  try {
    await unlink(at(parent, name));
    return true;
  } catch (error) {
    unless('ENOENT', 'EISDIR')(error);
    return codeOf(error) === 'ENOENT';
  }
}

/** False if something is in it, or it is no directory any more. */
async function isEmptyAndGone(parent: Opened, name: Buffer): Promise<boolean> {
  try {
    await rmdir(at(parent, name));
    return true;
  } catch (error) {
    unless('ENOENT', 'ENOTEMPTY', 'ENOTDIR')(error);
    return codeOf(error) === 'ENOENT';
  }
}

/** undefined if no directory has the name: nothing, a file, or a link. */
async function openIn(parent: Opened, name: Buffer): Promise<Opened | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(at(parent, name), directoryOnly);
  } catch (error) {
    return unless('ENOENT', 'ENOTDIR', 'ELOOP')(error);
  }
  const { dev: device } = await handle.stat();
  if (device === parent.device) return { handle, device };
  await handle.close();
  throw new Error(`Cannot remove ${name}: another file system is mounted there; unmount it first`);
}

/** To the kernel that is the open directory itself, and not a path to it. */
function at({ handle }: Opened, name: Buffer | string): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${handle.fd}/`), Buffer.from(name)]);
}

/** Passes over errors with these codes, and throws all others. */
function unless(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(codeOf(error) ?? '')) throw error;
    return undefined;
  };
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
