import { messageOf } from './errors.ts';
import type { Log } from './log.ts';

/** A mistake in how a program was called: printed as it is, exit code 2. */
export class UsageError extends Error {}

/**
 * Runs a program to its end. SIGTERM and SIGINT abort the signal; whatever was put on the stack is undone in reverse; the exit
 * code is 0 when `body` returns, 2 for a UsageError, 1 for anything else. A second signal ends the process at once.
 */
export async function runMain(
  log: Log,
  body: (stack: AsyncDisposableStack, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(1);
    log.info('Stopping', { signal: name });
    controller.abort(new Error(`Stopped by ${name}`));
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  try {
    await using stack = new AsyncDisposableStack();
    await body(stack, controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) {
      process.exitCode = error instanceof UsageError ? 2 : 1;
      if (error instanceof UsageError) process.stderr.write(`${error.message}\n`);
      else log.error('Ended by an error', { error, reason: messageOf(error) });
    }
  }
  // Nothing may keep a finished program alive: an open keep-alive socket is not a reason to stay.
  process.exit();
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
