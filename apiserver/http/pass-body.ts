/** Passes the body of a request on, as fast as the slower side goes, holding no more of it than the streams do. */
import type { Writable } from 'node:stream';
import type { Clock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { onAbort } from './drained.ts';
import type { HttpRequest } from './transport.ts';

/** A client that sends nothing, or a receiver that takes nothing, for so long is not waited for. */
const silenceMs = 60_000;

export interface PassOptions {
  /** So much is to come. */
  readonly length: number;
  readonly clock: Clock;
  /** Aborts when there is no use in going on. */
  readonly over: AbortSignal;
}

/**
 * Resolves when all was written. Rejects with Timeout for silence, with BadRequest for a body of another length, with the signal's reason.
 * The request is left open: whoever answers it reads on or closes it.
 */
export async function passBody(from: HttpRequest, to: Writable, options: PassOptions): Promise<void> {
  const { length, clock, over } = options;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  using stack = new DisposableStack();
  let [passed, waits, heardMs] = [0, false, clock.monotonic()];
  const heard = () => {
    heardMs = clock.monotonic();
  };
  const take = (chunk: Buffer) => {
    heard();
    passed += chunk.length;
    if (passed > length) return reject(otherLength(`more than the ${length} bytes came that were announced`));
    if (to.write(chunk)) return;
    waits = true;
    from.pause();
  };
  const drained = () => {
    heard();
    waits = false;
    from.resume();
  };
  const ended = () => {
    if (passed === length) resolve();
    else reject(otherLength(`${passed} of ${length} bytes came`));
  };
  const look = () => {
    const leftMs = heardMs + silenceMs - clock.monotonic();
    if (leftMs > 0) timer = clock.timeout(look, leftMs);
    else reject(new ApiError('Timeout', waits ? 'The host takes nothing any more' : 'Nothing comes any more'));
  };
  let timer = clock.timeout(look, silenceMs);
  stack.defer(() => timer[Symbol.dispose]());
  stack.use(onAbort(over, () => reject(over.reason)));
  to.on('drain', drained).on('error', reject);
  // Who writes to it has it; an error that comes later is told by its answer.
  stack.defer(() => to.off('drain', drained));
  const cut = () => reject(otherLength(`the body broke off after ${passed} of ${length} bytes`));
  from.on('data', take).on('end', ended).on('error', cut).on('close', cut);
  stack.defer(() => from.off('data', take).off('end', ended).off('close', cut).pause());
  await promise; // not before: what is on the stack goes when this function ends
}

function otherLength(why: string): ApiError {
  return new ApiError('BadRequest', `Cannot pass on the body: ${why}`);
}
