/**
 * What the collector does about one object. Three ways to delete:
 *
 *   Background  the owner is gone; each dependent finds that out and is deleted
 *   Foreground  the owner stays, with the finalizer foregroundDeletion, until no dependent that blocks it is left
 *   Orphan      the owner stays, with the finalizer orphan, until every dependent has forgotten it
 *
 * Every write names the version that it was decided on, and a delete the uid too.
 */
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { isCode } from '#lib/std/errors.ts';
import { done, type Outcome, type Run, wait } from '../runtime/controller.ts';
import { blocks, foregroundFinalizer, hasFinalizer, isDeleting, judge, orphanFinalizer } from './graph.ts';
import type { OwnerStates } from './owner-state.ts';
import type { Node, Owners } from './ownership.ts';

export interface CollectDeps {
  readonly client: Client;
  readonly owners: Owners;
  readonly states: OwnerStates;
  /** Kinds whose objects can be owned: those that are collected. */
  readonly kinds: () => readonly Kind[];
}

/** How often a refused delete is tried again: what refuses it (deleteProtection) is changed by people. */
const refusedRetryMs = 30_000;

/** Done if there is nothing to do, or it was done; a wait without a time ends when the objects concerned change. */
export async function collect(deps: CollectDeps, node: Node, run: Run): Promise<Outcome> {
  const { object } = node;
  if (!isDeleting(object)) return await deleteIfLost(deps, node, run);
  if (hasFinalizer(object, orphanFinalizer)) return await orphanDependents(deps, node, run);
  if (hasFinalizer(object, foregroundFinalizer)) return await waitForDependents(deps, node, run);
  return done;
}

async function deleteIfLost({ client, owners, states }: CollectDeps, node: Node, run: Run): Promise<Outcome> {
  const { kind, object } = node;
  const { uid, resourceVersion, ownerReferences = [] } = object.metadata;
  const known = await Promise.all(
    ownerReferences.map(async (reference) => ({ reference, state: await states.of(node, reference, run.signal) })),
  );
  const verdict = judge(
    object,
    known,
    owners.dependentsOf(uid).map((dependent) => dependent.object),
  );
  if (verdict.do === 'release') await setOwners(client, node, verdict.keep, run);
  if (verdict.do !== 'delete') return done;
  const { propagation, unblock } = verdict;
  // Two that own each other would wait for each other for ever.
  const version = unblock
    ? (
        await setOwners(
          client,
          node,
          ownerReferences.map((each) => ({ ...each, blockOwnerDeletion: false })),
          run,
        )
      ).metadata.resourceVersion
    : resourceVersion;
  try {
    await client.delete(kind, object.metadata, { uid, resourceVersion: version, propagation, signal: run.signal });
  } catch (error) {
    if (isCode(error, 'NotFound')) return done;
    if (isCode(error, 'Forbidden')) return wait('DeleteRefused', error.message, refusedRetryMs);
    throw error;
  }
  run.log.info('Deleted what lost its owners', { kind: kind.kind, object: keyOf(object), propagation });
  return done;
}

function setOwners(
  client: Client,
  { kind, object }: Node,
  ownerReferences: readonly object[],
  run: Run,
): Promise<KubeObject> {
  const { resourceVersion } = object.metadata;
  return client.patch(
    kind,
    object.metadata,
    { metadata: { resourceVersion, ownerReferences } },
    { signal: run.signal },
  );
}

/** Asks the server: a dependent that the caches have not seen yet would be deleted instead of being left alone. */
async function orphanDependents(deps: CollectDeps, node: Node, run: Run): Promise<Outcome> {
  const { uid, namespace } = node.object.metadata;
  for (const kind of deps.kinds().filter((each) => each.namespaced || namespace === undefined)) {
    const { items } = await deps.client.list(kind, { namespace, signal: run.signal });
    for (const object of items) {
      const owners = object.metadata.ownerReferences ?? [];
      const others = owners.filter((reference) => reference.uid !== uid);
      if (others.length < owners.length) await setOwners(deps.client, { kind, object }, others, run);
    }
  }
  return await dropFinalizer(deps, node, orphanFinalizer, run);
}

async function waitForDependents(deps: CollectDeps, node: Node, run: Run): Promise<Outcome> {
  const { uid } = node.object.metadata;
  const others = deps.owners.dependentsOf(uid).filter(({ object }) => object.metadata.uid !== uid);
  const blocking = others.filter(({ object }) => blocks(object, uid));
  if (blocking.length > 0) return wait('DependentsRemain', `${blocking.length} dependents have to go first`);
  return await dropFinalizer(deps, node, foregroundFinalizer, run);
}

async function dropFinalizer(
  { client }: CollectDeps,
  { kind, object }: Node,
  finalizer: string,
  run: Run,
): Promise<Outcome> {
  const finalizers = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer);
  const metadata = { resourceVersion: object.metadata.resourceVersion, finalizers };
  await client.patch(kind, object.metadata, { metadata }, { signal: run.signal });
  return done;
}
