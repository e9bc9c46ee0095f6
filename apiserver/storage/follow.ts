/** Keeps something in step with a watch cache, from inside the server. */
import type { CacheEvent } from '#apiserver/cache/events.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { ObjectCache } from '#apiserver/storage/version-view.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';

export interface Follower {
  /** `before` is the object as `put` has last got it, if it has. */
  put(object: StoredObject, before: StoredObject | undefined): void;
  /** The object as `put` has last got it. */
  remove(object: StoredObject): void;
  /** After the first load, and after every batch of changes. */
  changed(): void;
}

export interface FollowOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const loadMs = 5_000;
const backoff = { firstMs: 50, maxMs: 5_000 };

/**
 * Until disposed of. A cache that starts anew, or another one in its place, is compared with what is known: while it loads, or while there
 * is none, the last known state stays.
 */
export function follow(source: () => ObjectCache | undefined, follower: Follower, options: FollowOptions): Disposable {
  const stopping = new AbortController();
  // Ends when told to, and reports what goes wrong.
  void keepFollowing(source, follower, options, stopping.signal);
  return { [Symbol.dispose]: () => stopping.abort(new Error('The cache is not followed any more')) };
}

async function keepFollowing(
  source: () => ObjectCache | undefined,
  follower: Follower,
  { clock, random, log }: FollowOptions,
  signal: AbortSignal,
): Promise<void> {
  const known = new Map<string, StoredObject>();
  for (let failures = 0; !signal.aborted; ) {
    try {
      const cache = source();
      if (!cache) await clock.sleep(loadMs, signal);
      else if (await cache.waitFor(0n, loadMs)) {
        await followOnce(cache, follower, known, signal);
        failures = 0;
      }
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      log.warn('Cannot follow a cache, will try again', { error });
      await clock.sleep(backoffMs(failures, backoff, random), signal).catch(() => undefined);
    }
  }
}

async function followOnce(
  cache: ObjectCache,
  follower: Follower,
  known: Map<string, StoredObject>,
  signal: AbortSignal,
): Promise<void> {
  using client = await cache.watch(undefined);
  using stack = new DisposableStack();
  const end = () => client[Symbol.dispose]();
  signal.addEventListener('abort', end, { once: true });
  stack.defer(() => signal.removeEventListener('abort', end));
  if (signal.aborted) return;
  for await (const { initial, events } of client) {
    if (initial) dropOthers(events, follower, known);
    for (const event of events) apply(event, follower, known);
    follower.changed();
  }
}

function dropOthers(events: readonly CacheEvent<StoredObject>[], follower: Follower, known: Map<string, StoredObject>) {
  const present = new Set(events.map(({ entry }) => entry.key));
  for (const [key, object] of known)
    if (!present.has(key)) {
      follower.remove(object);
      known.delete(key);
    }
}

function apply({ type, entry }: CacheEvent<StoredObject>, follower: Follower, known: Map<string, StoredObject>): void {
  const before = known.get(entry.key);
  if (type !== 'DELETED') {
    follower.put(entry.object, before);
    known.set(entry.key, entry.object);
  } else if (before) {
    follower.remove(before);
    known.delete(entry.key);
  }
}
