/**
 * Which life of the executor a host belongs to. An agent that lost its memory starts a second executor while the first, forgotten one
 * still runs and holds the journal. The newest life writes its name down; the older one reads it and leaves, its domains going on.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';

const readEveryMs = 1000;

function fileOf(root: string): string {
  return join(root, 'incarnation');
}

/** From now on the host belongs to this life. */
export function claim(root: string, incarnation: string): void {
  mkdirSync(root, { recursive: true });
  const path = fileOf(root);
  writeFileSync(`${path}.${incarnation}`, incarnation);
  renameSync(`${path}.${incarnation}`, path);
}

/** Calls back once when another life has claimed the host. */
export function watchClaim(root: string, incarnation: string, clock: Clock, onLost: () => void): Disposable {
  let timer: Disposable;
  const read = (): void => {
    if (readFileSync(fileOf(root), 'utf8') !== incarnation) onLost();
    else timer = clock.timeout(read, readEveryMs);
  };
  timer = clock.timeout(read, readEveryMs);
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}
