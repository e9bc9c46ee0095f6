/** The API server as one process sees it over a bad network: late, away for a while, answering nothing to what it has done, watches behind. */
import { Lease } from '#lib/api/core.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Client, WatchEvent, WatchOptions } from '#lib/client/client.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { MemoryApi } from '#lib/client/memory-client.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Life } from './life.ts';

export interface ApiWeather {
  /** Every call is refused. */
  away: boolean;
  /** Likewise, of this machine alone: it is cut off. */
  awayFrom: string | undefined;
  /** Chance of a call that is refused, and of an answer that is lost although the write was done. */
  refuses: number;
  losesAnswers: number;
  /** Chance that somebody else changes an object just before it is written; leases are nobody else's. */
  conflicts: number;
  /** Watches tell this much later, each with a share of its own. */
  watchDelayMs: number;
  /** What happens to whoever next writes that an attempt begins or ends: before the write arrives, or to its answer. */
  atAttempt: ((writer: Life) => 'conflicts' | 'losesAnswer' | undefined) | undefined;
  /** Likewise to who writes what else a machine with an attempt is like; false leaves it for the next. */
  atStatus: ((writer: Life, vm: VirtualMachine) => boolean) | undefined;
}

export function clearSky(): ApiWeather {
  return {
    ...{ away: false, awayFrom: undefined, refuses: 0, losesAnswers: 0, conflicts: 0, watchDelayMs: 0 },
    ...{ atAttempt: undefined, atStatus: undefined },
  };
}

export function apiFor(life: Life, api: MemoryApi, weather: ApiWeather): Client {
  const isAway = () => weather.away || isOf(life, weather.awayFrom);
  const call = <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> =>
    interruptible(
      signal,
      life.call(async () => {
        await life.clock.sleep(1 + Math.floor(life.random.next() * 8));
        signal?.throwIfAborted();
        if (isAway() || life.random.next() < weather.refuses)
          throw new ApiError('ServiceUnavailable', 'The API server does not answer');
        const result = await work();
        await life.clock.sleep(1 + Math.floor(life.random.next() * 8));
        if (isAway() || life.random.next() < weather.losesAnswers)
          throw new ApiError('Timeout', 'The answer of the API server was lost');
        return result;
      }),
    );
  const touched = async <T extends KubeObject>(kind: Kind<T>, { metadata }: T, surely = false): Promise<void> => {
    if (!surely && (life.random.next() >= weather.conflicts || kind.kind === Lease.kind)) return;
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
        const what = isTurn(api, kind, object) ? strike(life, weather) : undefined;
        if (kind.kind === VirtualMachine.kind && weather.atStatus?.(life, object as KubeObject as VirtualMachine))
          weather.atStatus = undefined;
        // Who was stopped by it waits here.
        await life.clock.sleep(1);
        await touched(kind, object, what === 'conflicts');
        const stored = await api.updateStatus(kind, object);
        if (what === 'losesAnswer') throw new ApiError('Timeout', 'The answer of the API server was lost');
        return stored;
      }),
    patchStatus: (kind, at, patch, options) => call(options?.signal, () => api.patchStatus(kind, at, patch)),
    finalize: (namespace, options) => call(options?.signal, () => api.finalize(namespace)),
    delete: (kind, at, options) => call(options?.signal, () => api.delete(kind, at, withoutSignal(options))),
    watch: (kind, options) => watched(life, api, weather, kind, options),
  };
}

function isOf({ name }: Life, machine: string | undefined): boolean {
  return machine !== undefined && name.startsWith(`${machine}/`);
}

/** True if this write begins or ends an attempt, as its writer sees it. */
function isTurn(api: MemoryApi, kind: Kind, object: KubeObject): boolean {
  if (kind.kind !== VirtualMachine.kind) return false;
  const stored = api.store.get(kindId(kind), keyOf(object)) as VirtualMachine | undefined;
  return stored?.status?.attempt?.number !== (object as VirtualMachine).status?.attempt?.number;
}

/** Once. */
function strike(life: Life, weather: ApiWeather): ReturnType<NonNullable<ApiWeather['atAttempt']>> {
  const { atAttempt } = weather;
  weather.atAttempt = undefined;
  return atAttempt?.(life);
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
  if (weather.away || isOf(life, weather.awayFrom)) {
    await life.clock.sleep(5);
    throw new ApiError('ServiceUnavailable', 'The API server does not answer');
  }
  const share = life.random.next();
  const ended = new AbortController();
  const survived = life.onEnd(() => ended.abort(new Error('The process is dead')));
  const signal = options.signal ? AbortSignal.any([options.signal, ended.signal]) : ended.signal;
  const events = api.watch(kind, { ...options, signal })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await life.answer(events.next());
      if (done) return;
      await life.clock.sleep(1 + Math.floor(share * weather.watchDelayMs), options.signal);
      yield value;
    }
  } finally {
    survived();
    ended.abort(new Error('Nobody watches any more'));
  }
}
