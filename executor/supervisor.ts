/**
 * Keeps one worker process running. To Mesos this process is the executor: while it lives, a worker that crashes or is replaced is a
 * reconnect, and no task is lost. So it does next to nothing and imports next to nothing. Between two workers it is renewed (renewal.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** What a worker is told on its standard input, one line of JSON. Not in its environment, which other processes may read. */
export interface Orders {
  readonly incarnation: string;
  /** Of the supervisor. Those before 0.7 do not say. */
  readonly version?: string;
  /** For the agent, if that wants one. */
  readonly token?: string;
}

export interface SupervisorOptions {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly orders: Orders;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** A worker that ran this long had no trouble starting. */
  readonly settledMs: number;
  say(message: string, fields: object): void;
  /** Before each further worker, when there is none: becomes the program that is installed now, if that is another one. */
  renew(signal: AbortSignal): Promise<void>;
}

/**
 * Runs workers until one ends with code 0, or until one has ended after `signal` aborted, which is passed on as SIGTERM. Delays between
 * workers grow from firstDelayMs to maxDelayMs.
 */
export async function supervise(options: SupervisorOptions, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const startedAt = performance.now();
    const how = await runWorker(options, signal);
    if (how === 0 || signal.aborted) return;
    if (performance.now() - startedAt > options.settledMs) failures = 0;
    const delayMs = Math.min(options.maxDelayMs, options.firstDelayMs * 2 ** failures);
    failures++;
    options.say('The worker died; starting another', { how, delayMs });
    await delay(delayMs, signal);
    if (!signal.aborted) await options.renew(signal);
  }
}

/** Its exit code, or what else ended it. */
async function runWorker(options: SupervisorOptions, signal: AbortSignal): Promise<number | string> {
  const worker = spawn(options.command, options.arguments, {
    env: options.environment,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const stop = () => void worker.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await ended(worker, options.orders);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function ended(worker: ChildProcess, orders: Orders): Promise<number | string> {
  // The pipe stays open for life: its end is how a worker learns of ours. A worker that dies early breaks it, which its exit tells too.
  worker.stdin?.on('error', () => undefined).write(`${JSON.stringify(orders)}\n`);
  try {
    const [code, killedBy] = (await once(worker, 'exit')) as [number | null, string | null];
    return code ?? killedBy ?? 'unknown';
  } catch (error) {
    return `not started: ${String(error)}`;
  }
}

function delay(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delayMs);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
