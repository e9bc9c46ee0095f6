/**
 * Runs a program that may never end: one that waits for a dead file system is in the kernel, where not even SIGKILL reaches it until the
 * file system answers or is taken away. When its time is over it is killed and left alone; nobody waits for it.
 */
import { type ChildProcess, spawn } from 'node:child_process';

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
  { deadlineMs, input = '' }: { readonly deadlineMs: number; readonly input?: string },
): Abandonable {
  const child = spawn(program, args, {
    cwd: '/',
    env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  return {
    ended: outcome(child, input, deadlineMs),
    isOver: () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null,
  };
}

function outcome(child: ChildProcess, input: string, deadlineMs: number): Promise<Ended | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended | undefined>();
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    stdout = (stdout + chunk).slice(0, outputBytesMax);
  });
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(0, outputBytesMax);
  });
  const timer = setTimeout(() => {
    child.kill('SIGKILL');
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
    child.unref();
    resolve(undefined);
  }, deadlineMs);
  child.once('error', (error) => {
    clearTimeout(timer);
    reject(error);
  });
  child.once('close', (status) => {
    clearTimeout(timer);
    resolve({ status: status ?? undefined, stdout, stderr });
  });
  // A program that ends without reading its input says why on standard error.
  child.stdin!.on('error', () => undefined);
  child.stdin!.end(input);
  return promise;
}
