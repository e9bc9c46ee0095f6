/**
 * Two small files by which executor and guardian understand each other. In memory (tmpfs), so that a disk that hangs stops neither. No
 * file of an earlier boot counts: its times do not.
 */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { ProcessIdentity } from '#lib/std/process-identity.ts';
import type { Table } from './guard.ts';

/** Of the guardian: who it is, and what it has seen. */
export interface Seen extends ProcessIdentity {
  /** Of the table that it watches over. */
  readonly number: number;
  readonly lookedMs: number;
}

interface Stored<T> {
  readonly bootId: string;
  readonly content: T;
}

export interface FenceFiles {
  readTable(): Table | undefined;
  writeTable(table: Table): void;
  readSeen(): Seen | undefined;
  writeSeen(seen: Seen): void;
}

/** CLOCK_BOOTTIME. */
export function uptimeMs(): number {
  return uptime() * 1000;
}

export function fenceFiles(directory: string, bootId: string): FenceFiles {
  const read = <T>(name: string): T | undefined => {
    try {
      const stored = JSON.parse(readFileSync(join(directory, name), 'utf8')) as Stored<T>;
      return stored.bootId === bootId ? stored.content : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };
  const write = (name: string, content: unknown) =>
    writeFileAtomic(join(directory, name), JSON.stringify({ bootId, content }), 0o600);
  return {
    readTable: () => read<Table>('table.json'),
    writeTable: (table) => write('table.json', table),
    readSeen: () => read<Seen>('guardian.json'),
    writeSeen: (seen) => write('guardian.json', seen),
  };
}
