/**
 * Executors as real processes. Each is the leader of a session of its own, so that it outlives the agent and can be ended as a group.
 * A pid counts only together with its start time.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { CommandInfo } from '#mesos/types.ts';
import type { Handle, Launcher } from './launcher.ts';

/** What Mesos reports when a program without shell cannot be executed: its launcher exits with 1001. */
const cannotExecute = 1001 << 8;
/** Processes that are not our children are looked at this often: nobody tells us of their end. */
const adoptedPollMs = 100;

interface ProcessStat {
  readonly state: string;
  readonly session: number;
  readonly startTime: string;
}

function readStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // No such process.
  }
  // The second field is the name in parentheses, which may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, session: Number(fields[3]), startTime: fields[19]! };
}

function isAlive(pid: number, startTime: string): boolean {
  const stat = readStat(pid);
  // A zombie that nobody reaps keeps its pid and start time, and runs nothing.
  return stat !== undefined && stat.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X';
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function waitStatus(code: number | null, signal: NodeJS.Signals | null): number {
  return code === null ? constants.signals[signal!] : code << 8;
}

/** Program, argv[0] and the rest. Mesos' `arguments` are the whole argv when there is no shell. */
function argvOf(command: CommandInfo): { file: string; argv0: string; rest: readonly string[] } {
  if (command.shell ?? true) return { file: '/bin/sh', argv0: 'sh', rest: ['-c', command.value ?? ''] };
  const [argv0 = command.value ?? '', ...rest] = command.arguments ?? [];
  return { file: command.value ?? '', argv0, rest };
}

function launch(command: CommandInfo, environment: Readonly<Record<string, string>>, sandbox: string): Handle {
  const { file, argv0, rest } = argvOf(command);
  const output = openSync(join(sandbox, 'stdout'), 'a');
  const errors = openSync(join(sandbox, 'stderr'), 'a');
  try {
    const child = spawn(file, rest, {
      argv0,
      cwd: sandbox,
      env: environment,
      detached: true,
      stdio: ['ignore', output, errors],
    });
    child.unref();
    const { pid } = child;
    const startTime = pid === undefined ? undefined : readStat(pid)?.startTime;
    const exited = new Promise<number>((resolve) => {
      child.once('error', () => resolve(cannotExecute));
      child.once('exit', (code, signal) => resolve(waitStatus(code, signal)));
    });
    return {
      ...(pid !== undefined && { pid }),
      ...(startTime !== undefined && { startTime }),
      exited,
      kill: () => pid !== undefined && killGroup(pid),
    };
  } finally {
    closeSync(output);
    closeSync(errors);
  }
}

function adopt(started: {
  readonly pid?: number | undefined;
  readonly startTime?: string | undefined;
  readonly sandbox: string;
}): Handle | undefined {
  const { pid, startTime } = started.pid === undefined ? findBySandbox(started.sandbox) : started;
  if (pid === undefined || startTime === undefined || !isAlive(pid, startTime)) return undefined;
  return {
    pid,
    startTime,
    exited: new Promise((resolve) => {
      const timer = setInterval(() => {
        if (isAlive(pid, startTime)) return;
        clearInterval(timer);
        resolve(-1);
      }, adoptedPollMs);
      timer.unref();
    }),
    kill: () => isAlive(pid, startTime) && killGroup(pid),
  };
}

/**
 * The executor of a sandbox whose pid was never stored: the agent died between starting it and writing that down. It is the session
 * leader whose environment names the sandbox, which no other run has.
 */
function findBySandbox(sandbox: string): { pid?: number; startTime?: string } {
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? readStat(pid) : undefined;
    if (stat?.session === pid && environmentHas(pid, `MESOS_SANDBOX=${sandbox}`)) {
      return { pid, startTime: stat.startTime };
    }
  }
  return {};
}

function environmentHas(pid: number, entry: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(entry);
  } catch {
    return false; // Ended meanwhile, or somebody else's: then it is not ours either.
  }
}

export const processLauncher: Launcher = { launch, adopt };
