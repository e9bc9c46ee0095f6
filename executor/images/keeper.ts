/**
 * Looks after the images that the host can see: tells what is in the store and in its own cache, keeps in the cache what the cluster server
 * orders, and removes what no Image names any more, by order only and never what a disk or a machine here stands on.
 */

import { cachedDigits, storeId } from '#lib/api/image-digests.ts';
import type { CollectOrder, ImagesOrder, ImagesReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { ImageStore } from './store.ts';

export interface ImageKeeperDeps {
  readonly images: ImageStore;
  /** What tells this cluster from others that have the store by mistake: the framework's id. */
  readonly cluster: string;
  /** Digests that disks or machines of this host need. Rejects if that cannot be found out. */
  inUse(): Promise<readonly string[]>;
  /** A heartbeat has something new to tell. */
  changed(): void;
  readonly clock: Clock;
  readonly log: Log;
  readonly lookMs?: number;
}

const lookMs = 60_000;
const tidyMs = 3_600_000;
/** A store that has not answered for so long is not spoken of. */
const silentMs = 3 * lookMs;
/** Told in one heartbeat, which Mesos hands on in one message. */
const cachedMax = 256;
const failedMax = 8;

export class ImageKeeper implements AsyncDisposable {
  readonly #deps: ImageKeeperDeps;
  #store: { readonly id: string; readonly heardMs: number } | undefined;
  #order: string | undefined;
  #tidyMs = Number.NEGATIVE_INFINITY;
  #timer: Disposable | undefined;
  #filling: Promise<void> | undefined;
  #collecting: Promise<void> = Promise.resolve();
  #looking = false;
  #again = false;
  #closed = false;

  constructor(deps: ImageKeeperDeps) {
    this.#deps = deps;
    const { cache } = deps.images;
    if (cache) cache.changed = deps.changed;
    this.#lookLater(0);
  }

  /** A mount that hangs is not waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#deps.images.cache?.[Symbol.asyncDispose]();
  }

  report(): ImagesReport {
    const { images, clock } = this.#deps;
    const store = this.#store;
    const isHeard = store !== undefined && clock.monotonic() - store.heardMs < silentMs;
    const failed = images.cache?.failures.slice(0, failedMax) ?? [];
    return {
      ...(isHeard && { store: store.id }),
      ...(images.cache && { cached: images.cache.held.slice(0, cachedMax).map((each) => each.slice(0, cachedDigits)) }),
      ...(this.#order !== undefined && { order: this.#order }),
      ...(failed.length > 0 && { failed }),
    };
  }

  order({ id, digests }: ImagesOrder): void {
    if (this.#order === id) return;
    this.#order = id;
    this.#deps.images.cache?.keep(digests);
    this.#fill();
    this.#deps.changed();
  }

  collect(order: CollectOrder): void {
    this.#collecting = this.#collecting.then(async () => {
      try {
        await this.#collect(order);
      } catch (error) {
        this.#deps.log.warn('Images that nothing names were not removed', { reason: messageOf(error) });
      }
    });
  }

  async #collect({ digests, store }: CollectOrder): Promise<void> {
    const { images, inUse, cluster, log } = this.#deps;
    const used = new Set(await inUse());
    for (const digest of digests) {
      if (used.has(digest)) {
        log.warn('An image that nothing names is under a disk of this host: it stays', { digest });
        continue;
      }
      await images.cache?.drop(digest);
      if (store) await images.discard(digest, cluster);
      log.info('Removed an image that nothing names', { digest, store });
    }
    if (store) await this.#readStore();
  }

  /** The store is another one by what was done here: who waits for the image need not wait for the next look. */
  lookNow(): void {
    if (this.#looking) this.#again = true;
    else this.#lookLater(0);
  }

  #lookLater(afterMs: number): void {
    this.#timer?.[Symbol.dispose]();
    if (this.#closed) return;
    this.#timer = this.#deps.clock.timeout(() => {
      this.#looking = true;
      void this.#look().finally(() => {
        this.#looking = false;
        // Only then: a mount that hangs must not be asked again and again.
        this.#lookLater(this.#again ? 0 : (this.#deps.lookMs ?? lookMs));
        this.#again = false;
      });
    }, afterMs);
  }

  async #look(): Promise<void> {
    const { images, cluster, clock, log } = this.#deps;
    try {
      const isThere = await this.#readStore();
      this.#fill();
      if (!isThere || clock.monotonic() < this.#tidyMs + tidyMs) return;
      this.#tidyMs = clock.monotonic();
      await images.claim(cluster);
      await images.tidy();
      await images.cache?.trim();
    } catch (error) {
      log.warn('Cannot look after the images', { reason: messageOf(error) });
    }
  }

  /** False if there is none. */
  async #readStore(): Promise<boolean> {
    const { images, clock, changed } = this.#deps;
    const digests = await images.digests();
    const before = this.#store?.id;
    if (digests) this.#store = { id: storeId(digests), heardMs: clock.monotonic() };
    if (this.#store?.id !== before) changed();
    return digests !== undefined;
  }

  #fill(): void {
    this.#filling ??= this.#deps.images.cache?.fill().finally(() => {
      this.#filling = undefined;
    });
  }
}
