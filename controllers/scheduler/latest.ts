/**
 * A cache that knows our own writes at once: what it gives is never older than what we wrote ourselves. An object that leaves a selection
 * looks deleted, although it may only be on its way into another one, of which another watch tells: what `stays` is kept for a while.
 */
import { type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Clock } from '#lib/std/clock.ts';
import { isNewer, type View } from './one-view.ts';

export interface Latest<T extends KubeObject> extends View<T> {
  /** The server's answer to a write of ours. */
  wrote(object: T): void;
  /** The cache has heard of this object: our own copy is dropped once it is not newer. */
  heard(object: T): void;
  /** The object has left a selection, or is gone: its last state there, under the revision of that news. */
  dropped(object: T): void;
  /** Something is kept. */
  readonly isMoving: boolean;
  /** What was kept and has not turned up again in time: to be asked for, then `wrote` as it is, or `gone`. */
  overdue(): readonly T[];
  /** It is certain that no watch will tell of it. */
  gone(object: T): void;
}

/** By then another watch has told of it, unless it is behind. */
const movingMs = 5_000;

export function latest<T extends KubeObject>(
  cache: View<T>,
  clock: Clock,
  /** Whether losing sight of this object for a moment would do harm. */
  stays: (object: T) => boolean = () => false,
): Latest<T> {
  const own = new Map<string, T>();
  /** By uid: another object may come under the same name. */
  const moving = new Map<string, { readonly object: T; readonly untilMs: number }>();
  /** Key -> uid of the last one that moved under it. */
  const movingUids = new Map<string, string>();

  function newest(key: string, cached: T | undefined): T | undefined {
    if (cached === undefined) return moving.get(movingUids.get(key) ?? '')?.object;
    const mine = own.get(key);
    return mine?.metadata.uid === cached.metadata.uid && isNewer(mine, cached) ? mine : cached;
  }

  /** The cache does not have it, or not any more. */
  function keep(object: T): void {
    own.delete(keyOf(object));
    arrived(object);
    if (!stays(object)) return;
    moving.set(object.metadata.uid, { object, untilMs: clock.monotonic() + movingMs });
    movingUids.set(keyOf(object), object.metadata.uid);
  }

  function arrived(object: T): void {
    moving.delete(object.metadata.uid);
    if (movingUids.get(keyOf(object)) === object.metadata.uid) movingUids.delete(keyOf(object));
  }

  return {
    get: (key) => newest(key, cache.get(key)),
    byUid(uid) {
      const cached = cache.byUid(uid);
      return cached ? newest(keyOf(cached), cached) : moving.get(uid)?.object;
    },
    list: () => [
      ...cache.list().map((object) => newest(keyOf(object), object)!),
      ...moving.values().map(({ object }) => object),
    ],
    wrote(object) {
      if (cache.byUid(object.metadata.uid)) own.set(keyOf(object), object);
      else keep(object);
    },
    heard(object) {
      const mine = own.get(keyOf(object)) ?? moving.get(object.metadata.uid)?.object;
      arrived(object);
      if (mine && isNewer(mine, object)) own.set(keyOf(object), mine);
      else own.delete(keyOf(object));
    },
    dropped(object) {
      if (cache.byUid(object.metadata.uid)) return;
      const mine = own.get(keyOf(object));
      keep(mine?.metadata.uid === object.metadata.uid && !isNewer(object, mine) ? mine : object);
    },
    get isMoving() {
      return moving.size > 0;
    },
    overdue: () =>
      [...moving.values()].filter(({ untilMs }) => untilMs <= clock.monotonic()).map(({ object }) => object),
    gone: arrived,
  };
}
