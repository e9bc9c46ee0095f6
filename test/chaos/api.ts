/** The API server as one process sees it over a bad network: late, away for a while, answering nothing to what it has done, watches behind. */
import { Lease } from '#lib/api/core.ts';
import type { Kind, KubeObject } from '#lib/api/meta.ts';
import type { Client, WatchEvent, WatchOptions } from '#lib/client/client.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Life } from './life.ts';

export interface ApiWeather {
  /** Every call is refused. */
  away: boolean;
  /** Chance of a call that is refused, and of an answer that is lost although the write was done. */
  refuses: number;
  losesAnswers: number;
  /** Chance that somebody else changes an object just before it is written; leases are nobody else's. */
  conflicts: number;
  /** Watches tell this much later. */
  watchDelayMs: number;
}

export function clearSky(): ApiWeather {
  return { away: false, refuses: 0, losesAnswers: 0, conflicts: 0, watchDelayMs: 0 };
}

export function apiFor(life: Life, api: Client, weather: ApiWeather): Client {
  const call = <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> =>
    interruptible(
      signal,
      life.call(async () => {
        await life.clock.sleep(1 + Math.floor(life.random.next() * 8));
        signal?.throwIfAborted();
        if (weather.away || life.random.next() < weather.refuses)
          throw new ApiError('ServiceUnavailable', 'The API server does not answer');
        const result = await work();
        await life.clock.sleep(1 + Math.floor(life.random.next() * 8));
        if (weather.away || life.random.next() < weather.losesAnswers)
          throw new ApiError('Timeout', 'The answer of the API server was lost');
        return result;
      }),
    );
  const touched = async <T extends KubeObject>(kind: Kind<T>, { metadata }: T): Promise<void> => {
    if (life.random.next() >= weather.conflicts || kind.kind === Lease.kind) return;
    const annotations = { 'chaos.example/touched': life.random.uuid() };
    await api.patch(kind, metadata, { metadata: { annotations } }).catch(() => undefined); // It may be gone.
  };
  return {
    discover: (options) => call(options?.signal, () => api.discover()),
    get: (kind, at, options) => call(options?.signal, () => api.get(kind, at)),
    list: (kind, options) => call(options?.signal, () => api.list(kind, withoutSignal(options))),
    create: (kind, draft, options) => call(options?.signal, () => api.create(kind, draft)),
    update: (kind, object, options) =>
      call(options?.signal, async () => {
        await touched(kind, object);
        return await api.update(kind, object);
      }),
    patch: (kind, at, patch, options) => call(options?.signal, () => api.patch(kind, at, patch)),
    updateStatus: (kind, object, options) =>
      call(options?.signal, async () => {
        await touched(kind, object);
        return await api.updateStatus(kind, object);
      }),
    patchStatus: (kind, at, patch, options) => call(options?.signal, () => api.patchStatus(kind, at, patch)),
    finalize: (namespace, options) => call(options?.signal, () => api.finalize(namespace)),
    delete: (kind, at, options) => call(options?.signal, () => api.delete(kind, at, withoutSignal(options))),
    watch: (kind, options) => watched(life, api, weather, kind, options),
  };
}

function withoutSignal<O extends { readonly signal?: AbortSignal }>(options: O | undefined): Omit<O, 'signal'> {
  const { signal: _, ...rest } = options ?? ({} as O);
  return rest;
}

function interruptible<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

async function* watched<T extends KubeObject>(
  life: Life,
  api: Client,
  weather: ApiWeather,
  kind: Kind<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  if (weather.away) {
    await life.clock.sleep(5);
    throw new ApiError('ServiceUnavailable', 'The API server does not answer');
  }
  const ended = new AbortController();
  life.onEnd(() => ended.abort(new Error('The process is dead')));
  const signal = options.signal ? AbortSignal.any([options.signal, ended.signal]) : ended.signal;
  const events = api.watch(kind, { ...options, signal })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await life.answer(events.next());
      if (done) return;
      await life.clock.sleep(1 + weather.watchDelayMs, options.signal);
      yield value;
    }
  } finally {
    ended.abort(new Error('Nobody watches any more'));
  }
}
