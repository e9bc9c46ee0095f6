import { type End, type ExecutorOptions, runExecutor } from './executor.ts';
import { type Host, openHost } from './host.ts';

export interface RunningExecutor extends AsyncDisposable {
  readonly host: Host;
  /** Why it ended; rejects if it failed. */
  readonly ended: Promise<End>;
}

/**
 * Runs an executor inside this process, for benchmarks and tests with many hosts: no supervisor, no child process. Dispose of it to end
 * it as kill would, with its domains going on; another one with the same incarnation is then what the next worker would be.
 */
export async function startExecutor(options: Omit<ExecutorOptions, 'host'>): Promise<RunningExecutor> {
  const stop = new AbortController();
  const host = await openHost(options.config, options.clock, options.log);
  const ended = run({ ...options, host }, stop.signal);
  return {
    host,
    ended,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

async function run(options: ExecutorOptions, signal: AbortSignal): Promise<End> {
  await using _ = options.host.hypervisor;
  await using __ = options.host.storage;
  return await runExecutor(options, signal);
}
