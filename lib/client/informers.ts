/** One informer per kind and selection, shared by everyone who reads it in this process. */
import type { Kind, KubeObject } from '#lib/api/meta.ts';
import { Informer, type InformerDeps } from './informer.ts';
import { kindId } from './kind-id.ts';

export interface Informers {
  /** The informer of a kind, or of a selection of it, made at the first call. What is asked for after `start` is refused. */
  of<T extends KubeObject>(kind: Kind<T>, fieldSelector?: string): Informer<T>;
  /** The informer of a whole kind, if anybody asked for it. */
  known(kind: Kind): Pick<Informer<KubeObject>, 'revision' | 'hasSynced'> | undefined;
  /** Runs all of them until the signal aborts. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when all of them have; rejects with the signal's reason. */
  synced(signal: AbortSignal): Promise<void>;
}

// Informers of all kinds in one map: a kind's id finds the one that was made for it.
type AnyInformer = Pick<Informer<KubeObject>, 'revision' | 'hasSynced' | 'synced' | 'run'>;

export function createInformers(deps: InformerDeps): Informers {
  const informers = new Map<string, AnyInformer>();
  let started = false;
  return {
    of<T extends KubeObject>(kind: Kind<T>, fieldSelector?: string): Informer<T> {
      const id = fieldSelector === undefined ? kindId(kind) : `${kindId(kind)}?${fieldSelector}`;
      const known = informers.get(id);
      if (known) return known as AnyInformer as Informer<T>;
      if (started) throw new Error(`Cannot begin to watch ${kind.kind} now: ask for its informer before they start`);
      const informer = new Informer(kind, deps, fieldSelector);
      informers.set(id, informer);
      return informer;
    },
    known: (kind) => informers.get(kindId(kind)),
    async start(signal) {
      started = true;
      await Promise.all([...informers.values()].map((informer) => informer.run(signal)));
    },
    async synced(signal) {
      signal.throwIfAborted();
      const stopped = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      await Promise.race([Promise.all([...informers.values()].map((informer) => informer.synced())), stopped]);
    },
  };
}
