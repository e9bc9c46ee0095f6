/** What a monitor remembers through kill -9, in one small file. */
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { Memory } from './decide.ts';

export interface MemoryStore {
  read(): Memory | undefined;
  /** When it returns, a crash does not lose it. */
  write(memory: Memory): void;
}

/** Throws Error naming the file if there is something else in it: who cannot tell whether it closed the agent must not open it. */
export function memoryFile(file: string): MemoryStore {
  return {
    read() {
      let text: string;
      try {
        text = readFileSync(file, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
      try {
        const memory = JSON.parse(text) as Memory;
        if (typeof memory.agentId === 'string') return memory;
      } catch {
        // Said below.
      }
      throw new Error(
        `${file} is not what a monitor writes. See whether the agent of this host is deactivated or drained in Mesos and should be, then remove the file`,
      );
    },
    write: (memory) => writeFileAtomic(file, `${JSON.stringify(memory)}\n`),
  };
}
