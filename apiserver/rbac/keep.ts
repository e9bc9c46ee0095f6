/** Keeps the policy in step with the stored roles and bindings. */
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Caches } from '#apiserver/storage/caches.ts';
import { follow } from '#apiserver/storage/follow.ts';
import type { Store } from '#apiserver/store/store.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { aggregate } from './aggregate.ts';
import { clusterRoles, rbacResources } from './kinds.ts';
import type { Policy, RbacKind } from './policy.ts';

export interface PolicyKeeper extends Disposable {
  /** Resolves when every role and binding that was there at the start is known. */
  readonly loaded: Promise<void>;
}

export interface KeepOptions {
  readonly store: Store;
  readonly caches: Caches;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly changed: () => void;
}

/** Changes of roles come in groups. */
const aggregateDelayMs = 50;

export function keepPolicy(policy: Policy, options: KeepOptions): PolicyKeeper {
  const { caches, clock, random, log, changed } = options;
  const stack = new DisposableStack();
  const aggregator = stack.use(createAggregator(options));
  const loads = (Object.keys(rbacResources) as RbacKind[]).map((kind) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const follower = {
      put(object: StoredObject, before: StoredObject | undefined) {
        if (before) policy.remove(kind, before);
        policy.put(kind, object);
      },
      remove: (object: StoredObject) => policy.remove(kind, object),
      changed() {
        resolve();
        changed();
        if (kind === 'ClusterRole') aggregator.wake();
      },
    };
    stack.use(follow(() => caches.of(rbacResources[kind]), follower, { clock, random, log }));
    return promise;
  });
  return {
    loaded: Promise.all(loads).then(() => undefined),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

function createAggregator({ store, caches, clock, log }: KeepOptions): Disposable & { wake(): void } {
  let timer: Disposable | undefined;
  let over = false;
  const wake = () => {
    if (!over) timer ??= clock.timeout(() => void run(), aggregateDelayMs);
  };
  const run = async () => {
    timer = undefined;
    try {
      await aggregate(store, caches.of(clusterRoles));
    } catch (error) {
      if (over) return;
      log.warn('Cannot aggregate cluster roles, will try again', { error });
      timer ??= clock.timeout(() => void run(), retryMs);
    }
  };
  return {
    wake,
    [Symbol.dispose]() {
      over = true;
      timer?.[Symbol.dispose]();
    },
  };
}

const retryMs = 1_000;
