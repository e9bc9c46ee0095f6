/**
 * Deletes what lost its owners: Kubernetes' garbage collector, as one controller per kind of dependent and owner. Three ways to delete:
 *
 *   Background  the owner is gone; each dependent finds that out and is deleted
 *   Foreground  the owner stays, with the finalizer foregroundDeletion, until no dependent that blocks it is left
 *   Orphan      the owner stays, with the finalizer orphan, until every dependent has forgotten it
 *
 * A cache that does not know an owner proves nothing (it may be behind, or the owner may be younger than its list): before anything is
 * deleted the server is asked, and the answer is compared by uid. The delete itself carries uid and resourceVersion.
 */
import { Namespace } from '#lib/api/core.ts';
import { apiVersionOf, type Kind, type KubeObject, keyOf, type OwnerReference } from '#lib/api/meta.ts';
import type { Cache } from '#lib/client/cache.ts';
import { kindId } from '#lib/client/kind-id.ts';
import { isCode } from '#lib/std/errors.ts';
import { type Controller, done, type Phase, type Run, type Trigger, wait } from '../runtime/controller.ts';
import type { ControllerFactory, Deps } from '../runtime/deps.ts';
import {
  blocks,
  foregroundFinalizer,
  hasFinalizer,
  isDeleting,
  judge,
  type Owner,
  type OwnerState,
  orphanFinalizer,
} from './graph.ts';
import { collectedKinds } from './kinds.ts';

/** How often a refused delete is tried again: what refuses it (deleteProtection) is changed by people. */
const refusedRetryMs = 30_000;

interface Scope {
  readonly object: KubeObject;
  /** Empty while the object is itself being deleted. */
  readonly owners: readonly Owner[];
  readonly hasDependents: boolean;
}

interface Graph {
  readonly deps: Deps;
  readonly kind: Kind;
  /** By kind id. */
  readonly caches: ReadonlyMap<string, Cache<KubeObject>>;
}

/** The collector for objects of one kind; controllers.ts makes one for each of collectedKinds. */
export function garbageController(kind: Kind): ControllerFactory {
  return (deps): Controller<KubeObject, Scope> => {
    const caches = new Map([Namespace, ...collectedKinds].map((each) => [kindId(each), deps.cache(each)]));
    const graph: Graph = { deps, kind, caches };
    return {
      name: `gc-${kind.plural}`,
      for: kind,
      reads: [Namespace, ...collectedKinds],
      writes: collectedKinds,
      triggers: [Namespace, ...collectedKinds].map((other) => relatedTo(graph, other)),
      load: (object, run) => loadScope(graph, object, run),
      phases: [collect(graph)],
      finalize: [orphanDependents(graph), waitForDependents(graph)],
      summarize: () => undefined,
    };
  };
}

/** An owner that went or is going makes its dependents due; a dependent makes the owners due that wait for it. */
function relatedTo(graph: Graph, other: Kind): Trigger {
  const own = graph.caches.get(kindId(graph.kind))!;
  const others = graph.caches.get(kindId(other))!;
  return {
    kind: other,
    map(object) {
      const { uid, ownerReferences = [] } = object.metadata;
      const owners = ownerReferences.flatMap((reference) => own.byUid(reference.uid) ?? []).filter(isDeleting);
      const remains = others.byUid(uid);
      const dependents = remains && !isDeleting(remains) ? [] : own.by('owner', uid);
      return [...owners, ...dependents].map(keyOf);
    },
  };
}

async function loadScope(graph: Graph, object: KubeObject, run: Run): Promise<Scope> {
  const references = isDeleting(object) ? [] : (object.metadata.ownerReferences ?? []);
  const owners = await Promise.all(
    references.map(async (reference) => ({ reference, state: await stateOf(graph, object, reference, run) })),
  );
  return { object, owners, hasDependents: dependentsOf(graph, object).length > 0 };
}

function dependentsOf(graph: Graph, owner: KubeObject): readonly KubeObject[] {
  return [...graph.caches.values()].flatMap((cache) => cache.by('owner', owner.metadata.uid));
}

async function stateOf(graph: Graph, object: KubeObject, reference: OwnerReference, run: Run): Promise<OwnerState> {
  const kind = [Namespace, ...collectedKinds].find(
    (each) => each.kind === reference.kind && apiVersionOf(each) === reference.apiVersion,
  );
  const { namespace } = object.metadata;
  // An object of the whole cluster cannot have an owner inside a namespace: there is no saying in which.
  if (!kind || (kind.namespaced && namespace === undefined)) return 'unknown';
  const cached = graph.caches.get(kindId(kind))!.byUid(reference.uid);
  if (cached) return stateOfFound(cached);
  const at = kind.namespaced ? { name: reference.name, namespace } : { name: reference.name };
  try {
    const found = await graph.deps.client.get(kind, at, { signal: run.signal });
    return found.metadata.uid === reference.uid ? stateOfFound(found) : 'absent';
  } catch (error) {
    if (isCode(error, 'NotFound')) return 'absent';
    throw error;
  }
}

function stateOfFound(owner: KubeObject): OwnerState {
  return isDeleting(owner) && hasFinalizer(owner, foregroundFinalizer) ? 'waiting' : 'present';
}

const collect =
  ({ deps, kind }: Graph): Phase<Scope> =>
  async ({ object, owners, hasDependents }, run) => {
    const verdict = judge(owners, hasDependents);
    const { uid, resourceVersion } = object.metadata;
    if (verdict.do === 'keep') return done;
    if (verdict.do === 'release') {
      const metadata = { resourceVersion, ownerReferences: verdict.keep };
      await deps.client.patch(kind, object.metadata, { metadata }, { signal: run.signal });
      return done;
    }
    const { propagation } = verdict;
    try {
      await deps.client.delete(kind, object.metadata, { uid, resourceVersion, propagation, signal: run.signal });
    } catch (error) {
      if (isCode(error, 'NotFound')) return done;
      if (isCode(error, 'Forbidden')) return wait('DeleteRefused', error.message, refusedRetryMs);
      throw error;
    }
    run.log.info('Deleted what lost its owners', { propagation });
    return done;
  };

/** Also asks the server: a dependent that the cache has not seen yet would be deleted instead of being left alone. */
const orphanDependents =
  (graph: Graph): Phase<Scope> =>
  async ({ object }, run) => {
    if (!hasFinalizer(object, orphanFinalizer)) return done;
    const { uid, namespace } = object.metadata;
    for (const kind of collectedKinds) {
      const { items } = await graph.deps.client.list(kind, { namespace, signal: run.signal });
      for (const { metadata } of items.filter(({ metadata }) => metadata.ownerReferences?.some((o) => o.uid === uid))) {
        const { resourceVersion } = metadata;
        const ownerReferences = metadata.ownerReferences!.filter((reference) => reference.uid !== uid);
        const patch = { metadata: { resourceVersion, ownerReferences } };
        await graph.deps.client.patch(kind, metadata, patch, { signal: run.signal });
      }
    }
    await dropFinalizer(graph, object, orphanFinalizer, run);
    return done;
  };

const waitForDependents =
  (graph: Graph): Phase<Scope> =>
  async ({ object }, run) => {
    if (!hasFinalizer(object, foregroundFinalizer)) return done;
    const blocking = dependentsOf(graph, object).filter((dependent) => blocks(dependent, object.metadata.uid));
    if (blocking.length > 0) return wait('DependentsRemain', `${blocking.length} dependents have to go first`);
    await dropFinalizer(graph, object, foregroundFinalizer, run);
    return done;
  };

async function dropFinalizer({ deps, kind }: Graph, object: KubeObject, finalizer: string, run: Run): Promise<void> {
  const finalizers = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer);
  const metadata = { resourceVersion: object.metadata.resourceVersion, finalizers };
  await deps.client.patch(kind, object.metadata, { metadata }, { signal: run.signal });
}
