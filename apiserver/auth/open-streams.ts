import type { Clock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Caller } from './access.ts';
import type { Attributes } from './attributes.ts';

export interface OpenStream {
  readonly caller: Caller;
  readonly attributes: Attributes;
}

export interface OpenStreamsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly isAllowed: (stream: OpenStream) => boolean;
}

/** Changes of rights come in groups, a role with its bindings: one look for all of them. Far below the 5 s that are promised. */
const settleMs = 250;
/** So many are looked at before others have their turn. */
const sliceSize = 500;

/** Watches and consoles that go on: each was allowed when it began, and ends when that no longer holds. */
export class OpenStreams implements Disposable {
  readonly #options: OpenStreamsOptions;
  readonly #open = new Map<OpenStream, AbortController>();
  #pending: Disposable | undefined;

  constructor(options: OpenStreamsOptions) {
    this.#options = options;
  }

  open(caller: Caller, attributes: Attributes): Disposable & { readonly signal: AbortSignal } {
    const stream = { caller, attributes };
    const controller = new AbortController();
    this.#open.set(stream, controller);
    const timer = this.#watchExpiry(stream);
    // What has changed since the request was let in was rechecked without it.
    this.#check([stream]);
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        timer?.[Symbol.dispose]();
        this.#open.delete(stream);
      },
    };
  }

  /** Looks at all of them after a moment. Calls that come meanwhile are served by the same look. */
  recheck(): void {
    this.#pending ??= this.#options.clock.timeout(() => {
      this.#pending = undefined;
      this.#check([...this.#open.keys()]);
    }, settleMs);
  }

  [Symbol.dispose](): void {
    this.#pending?.[Symbol.dispose]();
    this.#pending = undefined;
  }

  #watchExpiry(stream: OpenStream): Disposable | undefined {
    const { expiresMs } = stream.caller.sender;
    if (expiresMs === undefined) return undefined;
    const { clock } = this.#options;
    let next: Disposable | undefined;
    const look = () => {
      if (clock.now() >= expiresMs) this.#end(stream, 'its credential has expired');
      else next = clock.timeout(look, expiresMs - clock.now());
    };
    look();
    return { [Symbol.dispose]: () => next?.[Symbol.dispose]() };
  }

  #check(streams: readonly OpenStream[]): void {
    for (const stream of streams.slice(0, sliceSize))
      if (this.#open.has(stream) && !this.#options.isAllowed(stream)) this.#end(stream, 'the right to it is gone');
    const rest = streams.slice(sliceSize);
    if (rest.length > 0) this.#options.clock.timeout(() => this.#check(rest), 0);
  }

  #end(stream: OpenStream, why: string): void {
    this.#options.log.info('Ending a stream', { user: stream.caller.user.name, why });
    this.#open.get(stream)?.abort(new ApiError('Forbidden', `the stream ends: ${why}`));
    this.#open.delete(stream);
  }
}
