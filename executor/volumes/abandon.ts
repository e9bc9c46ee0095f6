/**
 * Runs a program that may never end: one that waits for a dead file system is in the kernel, where not even SIGKILL reaches it until the
 * file system answers or is taken away. When its time is over, or the signal says so, it is killed and left alone; nobody waits for it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { signalProcess } from '#lib/std/process-identity.ts';

const outputBytesMax = 1024 * 1024;

export interface Ended {
  /** Exit status; undefined if a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Abandonable {
  /** Undefined if it did not end in time. Rejects if it cannot be started. */
  readonly ended: Promise<Ended | undefined>;
  /** It has really ended, or never began. */
  isOver(): boolean;
}

export function startAbandonable(
  program: string,
  args: readonly string[],
  {
    deadlineMs,
    input = '',
    signal,
  }: { readonly deadlineMs: number; readonly input?: string; readonly signal?: AbortSignal | undefined },
): Abandonable {
  const child = spawn(program, args, {
    cwd: '/',
    // With those that it started, when it is told to end.
    detached: signal !== undefined,
    env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  return {
    ended: outcome(child, input, deadlineMs, signal),
    isOver: () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null,
  };
}

function outcome(
  child: ChildProcess,
  input: string,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<Ended | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended | undefined>();
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    stdout = (stdout + chunk).slice(0, outputBytesMax);
  });
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(0, outputBytesMax);
  });
  const giveUp = () => {
    if (signal === undefined || child.pid === undefined) child.kill('SIGKILL');
    else signalProcess(-child.pid, 'SIGKILL');
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
    child.unref();
    resolve(undefined);
  };
  const timer = setTimeout(giveUp, deadlineMs);
  signal?.addEventListener('abort', giveUp, { once: true });
  if (signal?.aborted) giveUp();
  const isOver = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
  };
  child.once('error', (error) => {
    isOver();
    reject(error);
  });
  child.once('close', (status) => {
    isOver();
    resolve({ status: status ?? undefined, stdout, stderr });
  });
  // A program that ends without reading its input says why on standard error.
  child.stdin!.on('error', () => undefined);
  child.stdin!.end(input);
  return promise;
}
