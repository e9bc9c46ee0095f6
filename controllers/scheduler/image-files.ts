/**
 * The files of images in the cluster's store and in the caches of its hosts: which are there without need, and which are missing.
 *
 * A file goes only when no Image, machine or import has named it for a while, and every host of the cluster that ever had an executor has
 * said since then what its disks really stand on. One host that is away, or does not tell, keeps everything: its disks may stand on it.
 * Hosts put the file aside for a day before they remove it (executor/images/store.ts).
 */
import type { Image } from '#lib/api/generated/image.ts';
import { cachedDigits, storeId } from '#lib/api/image-digests.ts';
import type { Inventory } from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { type ExecutorFact, isAlive } from './executor-book.ts';
import { foundAgain, type ImportRow, lost, rowOf } from './import-rows.ts';
import { storeRow } from './imports.ts';
import type { World } from './world.ts';

export interface ImageFilesOptions {
  readonly periodMs: number;
  /** A file that nothing names is left alone for so long. */
  readonly graceMs: number;
  /** A file that no host sees is missed for so long. Hosts look once a minute. */
  readonly lostMs: number;
  /** One that is lost has so long to come back by itself, as a mount that was away for a moment. Then it is imported again. */
  readonly againMs: number;
}

export const defaultImageFilesOptions: ImageFilesOptions = {
  ...{ periodMs: 60_000, graceMs: 3_600_000, lostMs: 180_000, againMs: 30_000 },
};

const askAgainMs = 600_000;

const ids = new WeakMap<Inventory, string>();

/** Stands for what an inventory found in the store. */
function idOf(inventory: Inventory): string {
  const id = ids.get(inventory) ?? storeId(inventory.images);
  ids.set(inventory, id);
  return id;
}

export class ImageFiles {
  readonly #world: World;
  readonly #options: ImageFilesOptions;
  /** Digest -> (monotonic) since when nothing names it. */
  readonly #unnamedMs = new Map<string, number>();
  /** uid of an Image -> (monotonic) since when its file is missed. */
  readonly #missedMs = new Map<string, number>();
  #blocked = { by: '', rounds: 0 };

  constructor(world: World, options: ImageFilesOptions = defaultImageFilesOptions) {
    this.#world = world;
    this.#options = options;
  }

  get periodMs(): number {
    return this.#options.periodMs;
  }

  /** To be called every `periodMs`. */
  async look(): Promise<void> {
    const { executors, clock } = this.#world;
    const alive = executors.alive(clock.monotonic());
    const stores = await this.#stores(alive);
    await this.#missLost(stores);
    await this.#collect(alive);
  }

  /** What the hosts see of the store, by what stands for it; undefined: nobody has told yet, and one was asked. */
  async #stores(alive: readonly ExecutorFact[]): Promise<ReadonlyMap<string, readonly string[] | undefined>> {
    const stores = new Map<string, readonly string[] | undefined>();
    const tellers = new Map<string, string>();
    for (const { hostname, heartbeat, inventory } of alive) {
      const { store } = heartbeat.images ?? {};
      if (store === undefined) continue;
      if (inventory && idOf(inventory.content) === store) stores.set(store, inventory.content.images);
      else if (!stores.has(store)) stores.set(store, undefined);
      tellers.set(store, hostname);
    }
    for (const [store, digests] of stores) if (!digests) await this.#ask(tellers.get(store)!);
    return stores;
  }

  async #ask(hostname: string): Promise<void> {
    await this.#world.tell(hostname, { type: 'inventory', version: 1 });
  }

  /** Only what no host sees is lost: one whose mount is away sees nothing at all. */
  async #missLost(stores: ReadonlyMap<string, readonly string[] | undefined>): Promise<void> {
    const { images, cluster, clock } = this.#world;
    const seen = [...stores.values()];
    const isKnown = seen.length > 0 && !seen.includes(undefined);
    const missed = new Set<string>();
    for (const image of isKnown ? images.list() : []) {
      const row = rowOf(image, cluster);
      if (row?.digest === undefined || row.taskID !== undefined) continue;
      const isThere = seen.some((digests) => digests!.includes(row.digest!));
      if (isThere && row.phase === 'Lost') await this.#store(image, foundAgain(row));
      if (isThere || row.phase !== 'Ready') continue;
      const { uid } = image.metadata;
      missed.add(uid);
      const sinceMs = this.#missedMs.get(uid) ?? clock.monotonic();
      this.#missedMs.set(uid, sinceMs);
      if (clock.monotonic() - sinceMs >= this.#options.lostMs)
        await this.#store(image, lost(row, image.spec.source, clock.now(), this.#options.againMs));
    }
    for (const uid of this.#missedMs.keys()) if (!missed.has(uid)) this.#missedMs.delete(uid);
  }

  async #store(image: Image, row: ImportRow): Promise<void> {
    this.#world.log.warn('The file of an image is missing, or there again', { image: keyOf(image), phase: row.phase });
    try {
      await storeRow(this.#world, image, row);
    } catch (error) {
      if (!isCode(error, 'Conflict', 'NotFound'))
        this.#world.log.warn('Image not written', { image: keyOf(image), reason: messageOf(error) });
    }
  }

  async #collect(alive: readonly ExecutorFact[]): Promise<void> {
    const nowMs = this.#world.clock.monotonic();
    const unnamed = this.#unnamed(alive);
    for (const digest of this.#unnamedMs.keys()) if (!unnamed.has(digest)) this.#unnamedMs.delete(digest);
    for (const digest of unnamed) if (!this.#unnamedMs.has(digest)) this.#unnamedMs.set(digest, nowMs);
    const ripe = [...unnamed].filter((digest) => nowMs - this.#unnamedMs.get(digest)! >= this.#options.graceMs);
    if (ripe.length === 0) return;
    await this.#collectCopies(alive, ripe);
    await this.#collectFiles(alive, ripe);
  }

  /** Digests in the store that nothing names. None while an import is under way: its file may be there before anybody has heard of it. */
  #unnamed(alive: readonly ExecutorFact[]): ReadonlySet<string> {
    const { images, machines, cluster } = this.#world;
    const stored = new Set(alive.flatMap(({ inventory }) => inventory?.content.images ?? []));
    const rows = images.list().map((image) => ({ image, row: rowOf(image, cluster) }));
    if (rows.some(({ row }) => row?.taskID !== undefined)) return new Set();
    for (const { image, row } of rows)
      for (const digest of [image.status?.digest, row?.digest]) if (digest) stored.delete(digest);
    if (stored.size === 0) return stored;
    for (const { status } of machines.list()) if (status?.image?.digest) stored.delete(status.image.digest);
    return stored;
  }

  /** A host looks itself whether its own disks stand on its copy. */
  async #collectCopies(alive: readonly ExecutorFact[], ripe: readonly string[]): Promise<void> {
    for (const { hostname, heartbeat } of alive) {
      const cached = new Set(heartbeat.images?.cached ?? []);
      const digests = ripe.filter((digest) => cached.has(digest.slice(0, cachedDigits)));
      if (digests.length > 0) await this.#world.tell(hostname, { type: 'collect', version: 1, digests, store: false });
    }
  }

  async #collectFiles(alive: readonly ExecutorFact[], ripe: readonly string[]): Promise<void> {
    const sinceMs = Math.max(...ripe.map((digest) => this.#unnamedMs.get(digest)!));
    const unproven = await this.#unproven(sinceMs);
    this.#tellBlocked(unproven, ripe.length);
    if (unproven.length > 0) return;
    const used = new Set(alive.flatMap(({ inventory }) => inventory?.content.backings ?? []));
    const free = ripe.filter((digest) => !used.has(digest));
    const one = alive.find(({ inventory }) => free.some((digest) => inventory?.content.images.includes(digest)));
    if (!one) return;
    const digests = free.filter((digest) => one.inventory!.content.images.includes(digest));
    this.#world.log.info('Removing images that nothing names', { host: one.hostname, digests });
    await this.#world.tell(one.hostname, { type: 'collect', version: 1, digests, store: true });
    await this.#ask(one.hostname);
  }

  /** Hosts that have not told since then what their disks stand on. Those that can be asked are. */
  async #unproven(sinceMs: number): Promise<readonly string[]> {
    const { hosts, executors, clock } = this.#world;
    const known = hosts.list().filter(({ status }) => status?.bootID !== undefined);
    const names = new Set([
      ...known.map(({ spec }) => spec.hostname),
      ...executors.all().map(({ hostname }) => hostname),
    ]);
    const unproven: string[] = [];
    for (const hostname of names) {
      const executor = executors.get(hostname);
      const isThere = isAlive(executor, clock.monotonic());
      const inventory = isThere ? executor.inventory : undefined;
      if (inventory?.content.backings && inventory.heardMs > sinceMs) continue;
      unproven.push(hostname);
      // Who has just told, and not of this, is an older one, or has a disk that does not tell.
      const toldMs = inventory?.heardMs ?? Number.NEGATIVE_INFINITY;
      const isDue = toldMs <= sinceMs || clock.monotonic() - toldMs >= askAgainMs;
      if (isThere && isDue) await this.#ask(hostname);
    }
    return unproven;
  }

  /** Once for each set of hosts, when they have had the time to answer. */
  #tellBlocked(unproven: readonly string[], files: number): void {
    const hosts = unproven.toSorted();
    const rounds = hosts.join() === this.#blocked.by ? this.#blocked.rounds + 1 : 1;
    this.#blocked = { by: hosts.join(), rounds };
    if (hosts.length > 0 && rounds === 2)
      this.#world.log.warn('Images that nothing names stay: hosts do not tell what their disks stand on', {
        hosts,
        files,
      });
  }
}
