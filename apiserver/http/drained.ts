import type { Writable } from 'node:stream';
import type { Clock } from '#lib/std/clock.ts';

/** A client that takes nothing for so long, though something waits, is cut off. */
const stallMs = 60_000;

export interface Waiting {
  readonly clock: Clock;
  /** Aborts when there is no use in going on. */
  readonly over: AbortSignal;
}

/** Resolves when the client has taken what was written, or will not: then `over` is aborted or the response destroyed. */
export async function drained(response: Writable, { clock, over }: Waiting): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using stack = new DisposableStack();
  response.on('drain', resolve).on('close', resolve);
  stack.defer(() => response.off('drain', resolve).off('close', resolve));
  stack.use(onAbort(over, resolve));
  stack.use(clock.timeout(() => response.destroy(), stallMs));
  await promise; // not before: what is on the stack goes when this function ends
}

export function onAbort(signal: AbortSignal, callback: () => void): Disposable {
  if (signal.aborted) callback();
  signal.addEventListener('abort', callback, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', callback) };
}
