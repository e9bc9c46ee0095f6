import type { Clock } from './clock.ts';

export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * A signal that aborts with `parent`, or `ms` from now on, with an error that says what took too long. Dispose of it when the work is over:
 * then nothing of it is left, on the parent neither.
 */
export function deadline(clock: Clock, ms: number, what: string, parent?: AbortSignal): Deadline {
  const controller = new AbortController();
  const abort = () => controller.abort(parent?.reason);
  if (parent?.aborted) abort();
  parent?.addEventListener('abort', abort, { once: true });
  const timer = clock.timeout(() => controller.abort(new Error(`${what} took longer than ${Math.round(ms)} ms`)), ms);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
      parent?.removeEventListener('abort', abort);
    },
  };
}
