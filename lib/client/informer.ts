/**
 * Keeps a copy of all objects of one kind, or of a selection of them: all that is there, then every change to it, for ever. As client-go's reflector:
 *
 *   list ──► watch ──► ended by the server, or broken: watch again from the last revision heard of (bookmarks count)
 *    ▲         │
 *    └─────────┴ Expired: what happened in between is forgotten by the server; list again, and tell the difference
 *
 * The list is the beginning of the watch itself (WatchList), which costs the server less; one that refuses that, or does not tell the end of
 * it, is asked for a list.
 *
 * Every failure is waited out (0.8 s to 30 s, Retry-After honoured) and none is final. Who listens hears each change of a key in order.
 */
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import { type BackoffOptions, backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { ApiError, isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { Cache, Indexes } from './cache.ts';
import type { Client, WatchEvent } from './client.ts';
import { IndexedStore } from './indexed-store.ts';

export interface InformerDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Leaves out what its readers do not need, to keep it small; not what tells objects and their versions apart. */
  readonly trim?: (object: KubeObject) => KubeObject;
  /** Freeze what is cached, to catch whoever changes it. Costs time: for tests. */
  readonly freeze?: boolean;
}

export type Change<T extends KubeObject> =
  | { readonly type: 'added'; readonly object: T /** Came with the first list. */; readonly initial: boolean }
  | { readonly type: 'changed'; readonly object: T; readonly old: T }
  /** `finalStateUnknown`: found missing in a list; the object is what was known before. */
  | { readonly type: 'deleted'; readonly object: T; readonly finalStateUnknown: boolean };

export type Listener<T extends KubeObject> = (change: Change<T>) => void;

const backoff: BackoffOptions = { firstMs: 800, maxMs: 30_000 };
/** A watch that lasted this long was a healthy one: the next failure is the first again. */
const healthyMs = 120_000;
/** A list that comes with the watch is whole by then, or never: some servers take the request and do not tell the end. */
const initialMs = 60_000;
/** A server that ends watches sooner than this is treated as failing, or the two would spin. */
const shortestWatchMs = 1_000;

export class Informer<T extends KubeObject> {
  readonly kind: Kind<T>;
  readonly #deps: InformerDeps;
  readonly #selection: { readonly fieldSelector?: string };
  readonly #store: IndexedStore<T>;
  readonly #listeners: Listener<T>[] = [];
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;
  /** Where the next watch begins; undefined: all that is there has to be told first. */
  #version: string | undefined;
  #watchLists = true;
  #revision = 0n;

  /** `fieldSelector`: of those that match only; one that no longer does is told as deleted. */
  constructor(kind: Kind<T>, deps: InformerDeps, fieldSelector?: string) {
    this.kind = kind;
    this.#selection = fieldSelector === undefined ? {} : { fieldSelector };
    this.#deps = { ...deps, log: deps.log.child({ informer: kind.plural }) };
    this.#store = new IndexedStore(kind);
  }

  /** A reader of this informer's objects with indexes of its own. */
  cache(indexes: Indexes<T> = {}): Cache<T> {
    return this.#store.view(indexes);
  }

  /** Call before `run`. A listener that throws is logged and misses that change only. */
  onChange(listener: Listener<T>): void {
    this.#listeners.push(listener);
  }

  /** True once every listener has been told of everything that the first list had. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Every write of this kind up to this revision has been heard of. */
  get revision(): bigint {
    return this.#revision;
  }

  /** Lists and watches until the signal aborts; then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps;
    for (let failures = 0; !signal.aborted; ) {
      const startedMs = clock.monotonic();
      let error: unknown;
      try {
        await this.#follow(signal);
      } catch (thrown) {
        error = thrown;
      }
      if (signal.aborted) return;
      if (isCode(error, 'Expired')) this.#version = undefined;
      const lastedMs = clock.monotonic() - startedMs;
      if (error === undefined && lastedMs >= shortestWatchMs) {
        failures = 0;
        continue;
      }
      failures = lastedMs >= healthyMs ? 1 : failures + 1;
      // The server works, only our place is gone: a list helps at once, unless one has just been made.
      const forgotten = failures === 1 && this.#version === undefined && isCode(error, 'Expired');
      const delayMs = forgotten ? 0 : Math.max(backoffMs(failures, backoff, random), retryAfterMs(error));
      log.warn('Watch interrupted', { error: messageOf(error ?? 'ended at once'), delayMs });
      // Rejects only by the signal, which the loop looks at.
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    if (this.#version === undefined && this.#watchLists) {
      try {
        await this.#watchList(signal);
        return;
      } catch (error) {
        if (this.#version !== undefined || !isRefusal(error)) throw error;
        this.#deps.log.info('Lists instead of a watch from the start', { reason: messageOf(error) });
        this.#watchLists = false;
      }
    }
    if (this.#version === undefined) {
      const { items, resourceVersion } = await this.#deps.client.list(this.kind, { ...this.#selection, signal });
      this.#replace(items, resourceVersion);
    }
    for await (const event of this.#watch(this.#version!, signal)) this.#hear(event);
  }

  /** Nothing is told before the whole list is there: what is missing in it has gone. */
  async #watchList(signal: AbortSignal): Promise<void> {
    const late = new AbortController();
    using _timer = this.#deps.clock.timeout(
      () => this.#version ?? late.abort(new ApiError('Invalid', `The list did not end within ${initialMs} ms`)),
      initialMs,
    );
    const found = new Map<string, T>();
    for await (const event of this.#watch('', AbortSignal.any([signal, late.signal]))) {
      if (this.#version !== undefined) this.#hear(event);
      else if (event.type !== 'BOOKMARK') collect(found, event);
      else if (event.initialEventsEnd) this.#replace([...found.values()], event.resourceVersion);
    }
  }

  #replace(items: readonly T[], resourceVersion: string): void {
    const gone = new Set(this.#store.keys());
    for (const item of items) {
      gone.delete(keyOf(item));
      if (this.#store.get(keyOf(item))?.metadata.resourceVersion !== item.metadata.resourceVersion) this.#put(item);
    }
    for (const key of gone) this.#drop(key, true);
    this.#reached(resourceVersion);
    this.#hasSynced = true;
    this.#synced.resolve();
  }

  #watch(resourceVersion: string, signal: AbortSignal): AsyncIterable<WatchEvent<T>> {
    const { client, random } = this.#deps;
    // Spread over five minutes, so that a restarted server is not asked by everyone at once again and again.
    const timeoutSeconds = 300 + Math.floor(random.next() * 300);
    return client.watch(this.kind, { ...this.#selection, resourceVersion, timeoutSeconds, signal });
  }

  #hear(event: WatchEvent<T>): void {
    if (event.type === 'DELETED') this.#drop(keyOf(event.object), false, event.object);
    else if (event.type !== 'BOOKMARK') this.#put(event.object);
    this.#reached(event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion);
  }

  #put(received: T): void {
    const object = this.#trimmed(received);
    const old = this.#store.get(keyOf(object));
    // Another object under the same name: its predecessor's end was missed.
    if (old && old.metadata.uid !== object.metadata.uid) this.#drop(keyOf(old), true);
    const known = this.#store.set(object);
    this.#tell(known ? { type: 'changed', object, old: known } : { type: 'added', object, initial: !this.#hasSynced });
  }

  #drop(key: string, finalStateUnknown: boolean, last?: T): void {
    const known = this.#store.delete(key);
    if (known) this.#tell({ type: 'deleted', object: last ? this.#trimmed(last) : known, finalStateUnknown });
  }

  /** managedFields are often larger than the rest of the object, and no controller of ours reads them. */
  #trimmed(object: T): T {
    const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
    const { trim } = this.#deps;
    const trimmed = (trim ? trim({ ...object, metadata }) : { ...object, metadata }) as T;
    return this.#deps.freeze ? frozen(trimmed) : trimmed;
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#deps.log.error('A listener failed on a change', { key: keyOf(change.object), error });
      }
    }
  }

  #reached(resourceVersion: string): void {
    this.#version = resourceVersion;
    if (/^\d+$/.test(resourceVersion)) this.#revision = BigInt(resourceVersion);
  }
}

/** The answer to a request that a server does not understand or will not do, however often it is asked. */
function isRefusal(error: unknown): boolean {
  return isCode(error, 'BadRequest', 'Invalid', 'MethodNotAllowed', 'NotAcceptable', 'UnsupportedMediaType');
}

function collect<T extends KubeObject>(
  found: Map<string, T>,
  event: Exclude<WatchEvent<T>, { readonly type: 'BOOKMARK' }>,
): void {
  if (event.type === 'DELETED') found.delete(keyOf(event.object));
  else found.set(keyOf(event.object), event.object);
}

function retryAfterMs(error: unknown): number {
  return error instanceof ApiError ? (error.details.retryAfterSeconds ?? 0) * 1000 : 0;
}

function frozen<V>(value: V): V {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) frozen(inner);
  }
  return value;
}
