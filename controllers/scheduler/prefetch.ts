/**
 * Which hosts are to have a copy of an image before a machine asks for it (spec.prefetch), and on how many it is. Hosts are told when a
 * heartbeat shows that they know something else, as they are told of overlays. Counts are written when they differ, once a minute at most.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Image } from '#lib/api/generated/image.ts';
import { matchesHost } from '#lib/api/host-selectors.ts';
import { cachedDigits } from '#lib/api/image-digests.ts';
import type { ImagesOrder, ImagesReport } from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { matchesSelector } from '#lib/api/selectors.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { silentAfterMs } from './executor-book.ts';
import { type ImportRow, rowOf } from './import-rows.ts';
import { storeRow } from './imports.ts';
import type { World } from './world.ts';

export interface PrefetchOptions {
  readonly periodMs: number;
  /** Counts are written no sooner after the last time. */
  readonly paceMs: number;
  /** Nor before all hosts may have been heard. */
  readonly listenMs: number;
}

export const defaultPrefetchOptions: PrefetchOptions = { periodMs: 10_000, paceMs: 60_000, listenMs: silentAfterMs };

/** A host with a cache of its own that can be spoken to. */
export interface CacheHost {
  readonly hostname: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly images: ImagesReport;
}

const examplesMax = 3;
const exampleLengthMax = 512;

/** The hosts that are to have it: those that have it already come first, the rest in an order that stays. Pure. */
export function wantedOn({ spec }: Image, digest: string, hosts: readonly CacheHost[]): readonly CacheHost[] {
  const { hostSelector, copies = 'All' } = spec.prefetch ?? { copies: 0 };
  const fitting = hosts.filter(({ labels }) => matchesHost(hostSelector, labels));
  if (copies === 'All') return fitting;
  const rank = new Map(fitting.map((host) => [host, `${has(host, digest) ? 0 : 1}${spread(digest, host.hostname)}`]));
  return fitting.toSorted((a, b) => (rank.get(a)! < rank.get(b)! ? -1 : 1)).slice(0, Number(copies));
}

function has({ images }: CacheHost, digest: string): boolean {
  return images.cached?.includes(digest.slice(0, cachedDigits)) ?? false;
}

/** Not the same hosts for every image. */
function spread(digest: string, hostname: string): string {
  return createHash('sha256').update(`${digest} ${hostname}`).digest('hex');
}

/** The same id for the same content, also after a restart. Pure. */
export function orderOf(digests: readonly string[]): ImagesOrder {
  const sorted = digests.toSorted();
  const id = createHash('sha256').update(sorted.join()).digest('hex').slice(0, 16);
  return { type: 'images', version: 1, id, digests: sorted };
}

export class Prefetch {
  readonly #world: World;
  readonly #options: PrefetchOptions;
  #orders = new Map<string, ImagesOrder>();
  /** uid of an Image -> (monotonic) when its counts were written. */
  readonly #writtenMs = new Map<string, number>();

  constructor(world: World, options: PrefetchOptions = defaultPrefetchOptions) {
    this.#world = world;
    this.#options = options;
  }

  get periodMs(): number {
    return this.#options.periodMs;
  }

  /** What a host is to be told after such a report; undefined: nothing. */
  orderFor(hostname: string, { cached, order }: ImagesReport): ImagesOrder | undefined {
    const wanted = this.#orders.get(hostname);
    if (!wanted || cached === undefined || wanted.id === order) return undefined;
    // Who was never told of any needs not be told that there are none.
    return wanted.digests.length === 0 && order === undefined ? undefined : wanted;
  }

  /** To be called every `periodMs`. */
  async look(): Promise<void> {
    const { images, cluster } = this.#world;
    const hosts = this.#hosts();
    const digests = new Map<string, string[]>(hosts.map(({ hostname }) => [hostname, []]));
    for (const image of images.list()) {
      const row = rowOf(image, cluster);
      if (row?.phase !== 'Ready' || !row.digest) continue;
      const wanted = this.#wants(image) ? wantedOn(image, row.digest, hosts) : [];
      for (const { hostname } of wanted) digests.get(hostname)!.push(row.digest);
      await this.#count(image, row, hosts, wanted);
    }
    this.#orders = new Map([...digests].map(([hostname, all]) => [hostname, orderOf([...new Set(all)])]));
  }

  #hosts(): readonly CacheHost[] {
    const { executors, agents, hosts, cluster, clock } = this.#world;
    return executors.alive(clock.monotonic()).flatMap(({ hostname, heartbeat: { images } }) => {
      if (images?.cached === undefined) return [];
      const own = hosts.get(hostObjectName(cluster, hostname))?.spec.labels;
      return [{ hostname, images, labels: { ...agents.get(hostname)?.attributes, ...own } }];
    });
  }

  #wants({ metadata, spec }: Image): boolean {
    const { clusters, cluster } = this.#world;
    if (!spec.prefetch || metadata.deletionTimestamp) return false;
    return matchesSelector(spec.prefetch.clusterSelector, clusters.get(cluster)?.metadata.labels);
  }

  async #count(image: Image, row: ImportRow, hosts: readonly CacheHost[], wanted: readonly CacheHost[]) {
    const { clock, startedMs, log } = this.#world;
    const nowMs = clock.monotonic();
    const { uid } = image.metadata;
    const pacedMs = (this.#writtenMs.get(uid) ?? Number.NEGATIVE_INFINITY) + this.#options.paceMs;
    if (nowMs < Math.max(pacedMs, startedMs + this.#options.listenMs)) return;
    const { warmHosts: _w, prefetch: _p, ...rest } = row;
    const next = { ...rest, ...countsOf(row.digest!, hosts, this.#wants(image) ? wanted : undefined) };
    if (isDeepStrictEqual(next, row)) return;
    this.#writtenMs.set(uid, nowMs);
    try {
      await storeRow(this.#world, image, next);
    } catch (error) {
      if (!isCode(error, 'Conflict', 'NotFound'))
        log.warn('Counts of an image not written', { image: keyOf(image), reason: messageOf(error) });
    }
  }
}

/** `wanted`: undefined if no host is to have it. Pure. */
export function countsOf(
  digest: string,
  hosts: readonly CacheHost[],
  wanted: readonly CacheHost[] | undefined,
): Pick<ImportRow, 'warmHosts' | 'prefetch'> {
  const warmHosts = hosts.filter((host) => has(host, digest)).length;
  return { ...(hosts.length > 0 && { warmHosts }), ...(wanted && { prefetch: prefetchOf(digest, hosts, wanted) }) };
}

function prefetchOf(
  digest: string,
  hosts: readonly CacheHost[],
  wanted: readonly CacheHost[],
): NonNullable<ImportRow['prefetch']> {
  const open = wanted.filter((host) => !has(host, digest));
  const failed = open.flatMap(({ hostname, images }) => {
    const failure = images.failed?.find((one) => one.digest === digest);
    return failure ? [`${hostname}: ${failure.message}`.slice(0, exampleLengthMax)] : [];
  });
  const none = hosts.length === 0 ? ['No host has an imageCache in its configuration'] : ['No host has these labels'];
  const examples = wanted.length === 0 ? none : failed.slice(0, examplesMax);
  return {
    ...{ wanted: wanted.length, done: wanted.length - open.length, failed: failed.length },
    ...(examples.length > 0 && { examples }),
  };
}
