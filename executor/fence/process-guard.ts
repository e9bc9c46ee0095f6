/** The guard of a real host: keeps a guardian process (guardian.ts) running, whom every executor of the host finds again. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { isRunning, signalProcess } from '#lib/std/process-identity.ts';
import { QemuProcesses } from '../processes/qemu.ts';
import { foreignGroups, leaveGroups } from '../volumes/client.ts';
import type { Guard } from './guard.ts';
import { fenceFiles, uptimeMs } from './table.ts';

/** One that has not looked for so long is stopped, or hangs. It looks twice a second. */
const stuckMs = 3_000;
/** A new one has so long to look first. */
const startMs = 10_000;

export interface ProcessGuardOptions {
  /** Of the executor: one guardian for each. */
  readonly root: string;
  readonly bootId: string;
  readonly log: Log;
}

/** In memory: a disk that hangs must not stop it. */
export function guardDirectory(root: string): string {
  const name = createHash('sha256').update(root).digest('hex').slice(0, 12);
  return join('/run/computefactory', `fence-${name}`);
}

export function processGuard({ root, bootId, log }: ProcessGuardOptions): Guard {
  const directory = guardDirectory(root);
  const files = fenceFiles(directory, bootId);
  const processes = new QemuProcesses();
  let startedMs = Number.NEGATIVE_INFINITY;
  return {
    now: uptimeMs,
    read: () => files.readTable(),
    write: (table) => files.writeTable(table),
    async look() {
      const seen = files.readSeen();
      const lives = seen !== undefined && isRunning(seen);
      if (lives && uptimeMs() - seen.lookedMs < stuckMs) return seen.number;
      if (uptimeMs() - startedMs < startMs) return undefined;
      startedMs = uptimeMs();
      if (lives) signalProcess(seen.pid, 'SIGKILL');
      log.warn('Starting the guardian of the host', { directory });
      await start(directory, bootId).catch((error: unknown) =>
        log.error('The guardian of the host was not started', { reason: messageOf(error) }),
      );
      return undefined;
    },
    cut: async (uid) => void processes.cut(new Set([uid])),
  };
}

/** In a session of its own, outside the control groups of the Mesos container, and at once nobody's child: what ends the executor must not find it. */
async function start(directory: string, bootId: string): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const guardian = [process.execPath, join(import.meta.dirname, 'guardian.ts'), directory, bootId];
  const command = ['sh', '-c', leaveGroups, 'sh', ...foreignGroups(), '-', ...guardian];
  const child = spawn('setsid', ['--fork', ...command], { stdio: 'ignore', cwd: '/' });
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status !== 0) throw new Error(`setsid ended with ${status}`);
}
