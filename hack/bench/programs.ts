/** Programs that a figure runs beside itself, each a process of its own, and what they take of the processor. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { systemClock } from '#lib/std/clock.ts';

export interface Program extends AsyncDisposable {
  /** Another one after a restart. */
  readonly pid: number;
  /** Resolves with what it prints first. */
  readonly said: Promise<unknown>;
  /** Resolves when the program, as it runs now, logs a line with these words. */
  logged(words: string): Promise<void>;
  /** Ends it as a power cut would. */
  kill9(): Promise<void>;
  /** Starts it again, after its end. */
  restart(): void;
}

/** Disposing ends it with SIGTERM. The end of its log is printed if it fails by itself. */
export function startProgram(
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Program {
  let child = launch(command, args, environment);
  return {
    get pid() {
      return child.pid!;
    },
    said: once(child.stdout!, 'data'),
    logged: (words) =>
      new Promise((resolve) => child.stderr!.on('data', (text: string) => text.includes(words) && resolve())),
    kill9: () => end(child, 'SIGKILL'),
    restart() {
      child = launch(command, args, environment);
    },
    [Symbol.asyncDispose]: () => end(child, 'SIGTERM'),
  };
}

function launch(command: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(command, [...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const last: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => last.splice(0, Math.max(0, last.push(text) - 10)));
  child.on('exit', (code) => code && process.stderr.write(last.join('')));
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

const ticksPerSecond = 100;

/** Seconds of the processor that a process has had so far, user and system. */
export function cpuSeconds(pid: number): number {
  const [user, system] = cpuTimes(pid);
  return user + system;
}

/** The same with all its children that have ended and were waited for: the commands that it ran. */
export function cpuSecondsWithCommands(pid: number): number {
  return cpuTimes(pid).reduce((sum, seconds) => sum + seconds, 0);
}

/** User and system; then the same of children that were waited for. */
function cpuTimes(pid: number): readonly [number, number, number, number] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name stands in brackets and may hold anything; what counts comes behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const seconds = (index: number) => Number(fields[index]) / ticksPerSecond;
  return [seconds(11), seconds(12), seconds(13), seconds(14)];
}

/** Looks every 50 ms until it holds. Throws after the deadline. */
export async function until(what: string, holds: () => Promise<boolean>, deadlineMs = 600_000): Promise<void> {
  const end = systemClock.monotonic() + deadlineMs;
  while (!(await holds())) {
    if (systemClock.monotonic() > end) throw new Error(`Waited ${deadlineMs / 1000} s for ${what} in vain`);
    await systemClock.sleep(50);
  }
}
