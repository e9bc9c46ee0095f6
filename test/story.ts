/**
 * A world in which controllers are run by hand: an API in memory, a virtual clock, and caches that are never behind. One call reconciles
 * every object once, so a test decides what happens in which order. Defaults come from crds/, as from the server.
 *
 *   const world = story([vmPoolController, virtualMachineController]);
 *   await world.api.create(VMPool, …);
 *   await settles(world);                         // test/proofs.ts
 *   await world.clock.advance(60_000);
 *
 * `world.api` is the test's own hand: its calls are neither counted nor failed. Controllers go through `world.calls`.
 */

import { declared } from '#controllers/runtime/access.ts';
import type { AnyController, ControllerFactory, Deps, Events } from '#controllers/runtime/deps.ts';
import { type Result, reconcile } from '#controllers/runtime/reconcile.ts';
import { type Kind, type KubeObject, keyOf, type ObjectWithStatus } from '#lib/api/meta.ts';
import type { Cache, Indexes } from '#lib/client/cache.ts';
import { kindId } from '#lib/client/kind-id.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { type Calls, countedClient } from './counted-client.ts';
import { applyDefaults } from './crd-defaults.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface RecordedEvent {
  readonly type: 'Normal' | 'Warning';
  readonly kind: string;
  readonly name: string;
  readonly reason: string;
  readonly message: string;
}

export interface World {
  readonly api: MemoryApi;
  readonly clock: VirtualClock;
  readonly controllers: readonly AnyController[];
  /** Counts the controllers' calls, and fails the one it is told to. */
  readonly calls: Calls;
  readonly events: readonly RecordedEvent[];
  /** Reconciles one object by one controller; `rest` if there is no such object. */
  reconcile(controller: string, key: string): Promise<Result>;
  /** Reconciles every object of every controller once. Controllers in their order, objects by name. */
  reconcileAll(): Promise<readonly Result[]>;
}

export interface StoryOptions {
  readonly seed?: number;
  readonly namespaces?: readonly string[];
  readonly log?: Log;
}

export function story(factories: readonly ControllerFactory[], options: StoryOptions = {}): World {
  const { seed = 1, log = silentLog } = options;
  const clock = new VirtualClock();
  const random = seededRandom(seed);
  const namespaces = options.namespaces && { namespaces: options.namespaces };
  const api = memoryClient({ clock, random, admit: applyDefaults, ...namespaces });
  const { client, calls } = countedClient(api);
  const events: RecordedEvent[] = [];
  const deps: Deps = {
    client,
    cache: (kind, indexes) => liveCache(api, kind, indexes),
    clock,
    random,
    events: eventList(events),
  };
  const controllers = factories.map((factory) => declared(factory, deps));

  const run = async (controller: AnyController, object: ObjectWithStatus): Promise<Result> =>
    reconcile(controller, client, object, {
      signal: AbortSignal.timeout(30_000),
      log: log.child({ controller: controller.name, key: keyOf(object) }),
      nowMs: clock.now(),
    });

  return {
    api,
    clock,
    controllers,
    calls,
    events,
    async reconcile(name, key) {
      const controller = controllers.find((each) => each.name === name);
      if (!controller) throw new Error(`No controller is called ${name}: ${controllers.map((c) => c.name).join(', ')}`);
      const object = api.store.get(kindId(controller.for), key);
      return object ? run(controller, object) : { next: 'rest' };
    },
    async reconcileAll() {
      const results: Result[] = [];
      for (const controller of controllers)
        for (const { metadata } of api.store.list(kindId(controller.for))) {
          // Looked up again: the ones before it may have changed or removed it.
          const object = api.store.get(kindId(controller.for), keyOf({ metadata }));
          if (object) results.push(await run(controller, object));
        }
      return results;
    },
  };
}

function eventList(events: RecordedEvent[]): Events {
  const record =
    (type: 'Normal' | 'Warning') =>
    (about: KubeObject, reason: string, message: string): void => {
      events.push({ type, kind: about.kind, name: about.metadata.name, reason, message });
    };
  return { normal: record('Normal'), warning: record('Warning') };
}

/** A Cache that looks into the store itself. */
function liveCache<T extends KubeObject>(api: MemoryApi, kind: Kind<T>, indexes: Indexes<T> = {}): Cache<T> {
  const all = () => api.store.list(kindId(kind)) as readonly KubeObject[] as readonly T[];
  const owner = (object: T) => (object.metadata.ownerReferences ?? []).map(({ uid }) => uid);
  const known = new Map<string, (object: T) => readonly string[]>(Object.entries({ owner, ...indexes }));
  const by = (index: string, value: string): readonly T[] => {
    const values = known.get(index);
    if (!values) throw new Error(`The cache of ${kind.kind} has no index "${index}": give it to deps.cache`);
    return all().filter((object) => values(object).includes(value));
  };
  return {
    kind,
    get: (key) => api.store.get(kindId(kind), key) as KubeObject as T | undefined,
    byUid: (uid) => all().find((object) => object.metadata.uid === uid),
    list: (namespace) => all().filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace),
    by,
    count: (index, value) => by(index, value).length,
  };
}
