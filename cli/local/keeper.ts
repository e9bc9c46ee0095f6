/**
 * Keeps the programs of one local cluster running, as systemd would in production: a program that dies is started again, with
 * backoff. Its own death harms nothing: the next keeper adopts what still runs, by pid and start time. Ends on SIGTERM without
 * touching the programs: that is the job of `local down`.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { backoffMs } from '#lib/std/backoff.ts';
import { systemClock } from '#lib/std/clock.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import { jsonLog, type Log } from '#lib/std/log.ts';
import { runMain, UsageError } from '#lib/std/main.ts';
import { identifyProcess, isRunning, type ProcessIdentity } from '#lib/std/process-identity.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { Program } from './programs.ts';
import { localPaths } from './settings.ts';

const lookEveryMs = 200;
const restart = { firstMs: 200, maxMs: 5_000 };
/** A program that ran this long was healthy: its next death is the first again. */
const healthyMs = 10_000;

export function runFile(dir: string, name: string): string {
  return join(localPaths(dir).run, `${name}.json`);
}

/** The process that was last started under this name, whether or not it still runs. */
export function recordedProcess(dir: string, name: string): ProcessIdentity | undefined {
  const file = runFile(dir, name);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity) : undefined;
}

/** The running process of this name, if any. */
export function runningProcess(dir: string, name: string): ProcessIdentity | undefined {
  const identity = recordedProcess(dir, name);
  return identity && isRunning(identity) ? identity : undefined;
}

/** Starts a program in a session of its own, its output appended to its log, and records who it is. */
export function startDetached(dir: string, program: Program): ProcessIdentity | undefined {
  const log = openSync(program.log, 'a', 0o600);
  try {
    const [file, ...args] = program.command;
    const child = spawn(file!, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...program.environment },
    });
    // In the program's own log, whose end is shown to whoever waits for it in vain.
    child.on('error', (error) => appendFileSync(program.log, `Cannot start ${file}: ${error.message}\n`));
    child.unref();
    const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
    // A keeper killed right here leaves a program without a record; `local down` finds it by the marker in its environment, and
    // the program that the next keeper starts in its place fails on the occupied port until then.
    if (identity) writeFileAtomic(runFile(dir, program.name), `${JSON.stringify(identity)}\n`);
    return identity;
  } finally {
    closeSync(log);
  }
}

async function keep(dir: string, program: Program, log: Log, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const startedAt = systemClock.monotonic();
    if (!runningProcess(dir, program.name)) {
      startDetached(dir, program);
      log.info('Started', { name: program.name, failures });
    }
    while (runningProcess(dir, program.name)) await systemClock.sleep(lookEveryMs, signal);
    failures = systemClock.monotonic() - startedAt > healthyMs ? 1 : failures + 1;
    const delayMs = backoffMs(failures, restart, systemRandom);
    log.warn('Ended by itself; starting again', { name: program.name, delayMs });
    await systemClock.sleep(delayMs, signal);
  }
}

if (import.meta.main) {
  const log = jsonLog('local-keeper');
  await runMain(log, async (_stack, signal) => {
    const dir = process.argv[2];
    if (!dir) throw new UsageError('Usage: keeper.ts DIR');
    const programs = JSON.parse(readFileSync(localPaths(dir).programs, 'utf8')) as readonly Program[];
    await Promise.all(programs.map((program) => keep(dir, program, log, signal)));
  });
}
