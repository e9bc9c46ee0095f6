/**
 * What keeps CustomResourceDefinitions alive. In every replica, by one watch on them:
 *
 *   definition changes ──► follow: registry, caches, and by them discovery and OpenAPI
 *                     └──► settle: names accepted? established? written to its status, which is the next change
 *                     └──► terminate: objects of a deleted one are deleted, then it is let go
 *
 * Replicas do the same work at the same time; whoever is second finds nothing left to do.
 */
import type { Json } from '#apiserver/json/json.ts';
import { isDeleting, type StoredObject } from '#apiserver/json/object.ts';
import { asCrd, type CrdStatus } from '#apiserver/resources/crd.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { decode } from '#apiserver/storage/codec.ts';
import { prefixOf } from '#apiserver/storage/keys.ts';
import { changeObject } from '#apiserver/storage/objects.ts';
import type { KeyValue } from '#apiserver/store/store.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { createFollower, type Follower } from './follow.ts';
import { definitionKind, isWellFormed } from './kind.ts';
import { settleNames } from './naming.ts';
import { cleanupFinalizer } from './rules.ts';
import { terminate } from './terminate.ts';

const loadMs = 10_000;
const catchUpMs = 3_000;
const backoff = { firstMs: 100, maxMs: 10_000 };

export interface DefinitionsOptions {
  readonly context: ServerContext;
  readonly registry: Registry;
  /** Kinds whose names are taken. */
  readonly builtins: readonly Resource[];
  readonly log: Log;
}

export class Definitions implements AsyncDisposable {
  readonly #options: DefinitionsOptions;
  readonly #follower: Follower;
  readonly #over = new AbortController();
  /** By uid of the definition. */
  readonly #terminations = new Map<string, Promise<void>>();
  readonly #running: Promise<void>;

  constructor(options: DefinitionsOptions) {
    this.#options = options;
    this.#follower = createFollower(options.context, options.registry, options.log);
    this.#running = this.#run();
  }

  /** Until the registry shows every definition written before this call. False if that takes longer than three seconds. */
  catchUp(): Promise<boolean> {
    return this.#follower.catchUp(catchUpMs);
  }

  /** Until there is nothing to settle about any definition, as of this call. */
  async settle(): Promise<void> {
    while (await this.#settleOnce());
    await this.catchUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Error('The server is stopping'));
    await Promise.all([this.#running, ...this.#terminations.values()]);
  }

  async #run(): Promise<void> {
    const { context, log } = this.#options;
    const { signal } = this.#over;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#watch();
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        log.warn('Cannot follow CustomResourceDefinitions, will try again', { error, failures });
        await context.clock.sleep(backoffMs(failures, backoff, context.random), signal).catch(() => undefined);
      }
    }
  }

  /** Until the watch ends: the cache has started anew, or we are to stop. */
  async #watch(): Promise<void> {
    const { signal } = this.#over;
    const cache = this.#options.context.caches.of(definitionKind);
    await cache.waitFor(0n, loadMs);
    using watch = cache.watch(undefined);
    const end = () => watch[Symbol.dispose]();
    signal.addEventListener('abort', end, { once: true });
    using _ = { [Symbol.dispose]: () => signal.removeEventListener('abort', end) };
    for await (const _batch of watch) {
      this.#follower.sync();
      const objects = cache.list().entries.map(({ object }) => object);
      for (const object of objects) this.#beginTermination(object);
      if (this.#unsettled(objects).length > 0) await this.#settleOnce();
    }
  }

  #beginTermination(definition: StoredObject): void {
    const { log } = this.#options;
    const { uid, finalizers = [] } = definition.metadata;
    if (!isDeleting(definition) || !finalizers.includes(cleanupFinalizer) || this.#terminations.has(uid)) return;
    if (!isWellFormed(definition)) return;
    const done = this.#terminate(definition)
      .catch((error: unknown) => {
        if (!this.#over.signal.aborted) log.error('Cannot end a CustomResourceDefinition', { error });
      })
      .finally(() => this.#terminations.delete(uid));
    this.#terminations.set(uid, done);
  }

  async #terminate(definition: StoredObject): Promise<void> {
    const { context, log } = this.#options;
    const { signal } = this.#over;
    for (let failures = 0; ; ) {
      try {
        return await terminate(definition, context, log, signal);
      } catch (error) {
        signal.throwIfAborted();
        failures++;
        log.warn('Cannot delete all objects of a kind, will try again', { name: definition.metadata.name, error });
        await context.clock.sleep(backoffMs(failures, backoff, context.random), signal);
      }
    }
  }

  /** One look at the store, one write for each definition that is not as it should be. True if there was any. */
  async #settleOnce(): Promise<boolean> {
    const unsettled = this.#unsettled(await this.#listOldestFirst());
    for (const { object, status } of unsettled) await this.#write(object, status);
    return unsettled.length > 0;
  }

  /** Fresh, and in the order of creation: what the cache shows may lack a name that another replica has just given away. */
  async #listOldestFirst(): Promise<StoredObject[]> {
    const { kvs } = await this.#options.context.store.list(prefixOf(definitionKind));
    return kvs.toSorted((a, b) => (a.createRev < b.createRev ? -1 : 1)).flatMap(readable);
  }

  #unsettled(objects: readonly StoredObject[]): { object: StoredObject; status: CrdStatus }[] {
    const { context, builtins } = this.#options;
    const settled = settleNames(objects.filter(isWellFormed).map(asCrd), builtins, timestamp(context.clock.now()));
    return objects.flatMap((object) => {
      const status = settled.get(object.metadata.name);
      const same = sameJson(status as unknown as Json, object.status);
      return same || status === undefined ? [] : [{ object, status }];
    });
  }

  async #write(decided: StoredObject, status: CrdStatus): Promise<void> {
    const key = { resource: definitionKind, namespace: undefined, name: decided.metadata.name };
    try {
      await changeObject(
        this.#options.context.store,
        key,
        (current) => {
          // Decided about another state: the change to this one brings the next look.
          const stale = current.metadata.resourceVersion !== decided.metadata.resourceVersion;
          return { type: 'write', object: stale ? current : { ...current, status: status as unknown as Json } };
        },
        false,
      );
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
    }
  }
}

/** Nothing, for what is no object at all: the cache has told of it. */
function readable(kv: KeyValue): StoredObject[] {
  try {
    return [decode(kv.value, kv.modRev, definitionKind)];
  } catch {
    return [];
  }
}
