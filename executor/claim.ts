/**
 * Which life of the executor a host belongs to. An agent that lost its memory starts a second executor while the first, forgotten one
 * still runs and holds the journal. The newest life writes its name down; the older one reads it and leaves, its domains going on.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';

const readEveryMs = 1000;

export interface Claims {
  /** From now on the host belongs to this life. */
  take(incarnation: string): void;
  /** Calls back once when another life has claimed the host. */
  watch(incarnation: string, onLost: () => void): Disposable;
}

/** The claims of a host, as a file under its root. */
export function fileClaims(root: string, clock: Clock): Claims {
  const path = join(root, 'incarnation');
  return {
    take(incarnation) {
      mkdirSync(root, { recursive: true });
      writeFileSync(`${path}.${incarnation}`, incarnation);
      renameSync(`${path}.${incarnation}`, path);
    },
    watch(incarnation, onLost) {
      const read = (): void => {
        if (readFileSync(path, 'utf8') !== incarnation) onLost();
        else timer = clock.timeout(read, readEveryMs);
      };
      let timer = clock.timeout(read, readEveryMs);
      return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
    },
  };
}
