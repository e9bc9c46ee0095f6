/** A command as a process, with all that it starts. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { CommandInfo } from '#mesos/types.ts';

export interface RunningCommand {
  readonly pid: number | undefined;
  /** How it ended: the exit code, or null after a signal, and in Mesos' words. */
  readonly ended: Promise<{ readonly code: number | null; readonly how: string }>;
  /** To the whole process group. */
  signal(signal: NodeJS.Signals): void;
}

const signalNames: Readonly<Record<string, string>> = { SIGTERM: 'Terminated', SIGKILL: 'Killed', SIGINT: 'Interrupt' };

export function runCommand({ value = '', shell = true, arguments: argv = [] }: CommandInfo): RunningCommand {
  const options: SpawnOptions = { stdio: ['ignore', 'inherit', 'inherit'], detached: true };
  const child: ChildProcess = shell
    ? spawn('/bin/sh', ['-c', value], options)
    : spawn(value, argv.slice(1), { argv0: argv[0] ?? value, ...options });
  const ended = new Promise<{ code: number | null; how: string }>((resolve) => {
    child.once('error', () => resolve({ code: 127, how: 'Command exited with status 127' }));
    child.once('exit', (code, signal) =>
      resolve({
        code,
        how:
          code === null
            ? `Command terminated with signal ${signalNames[signal!] ?? signal}`
            : `Command exited with status ${code}`,
      }),
    );
  });
  return { pid: child.pid, ended, signal: (signal) => signalGroup(child.pid, signal) };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
