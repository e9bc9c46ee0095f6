/** The end of a definition: its objects are deleted first, then it may go. */
import { isDeleting, type StoredObject } from '#apiserver/json/object.ts';
import { asCrd } from '#apiserver/resources/crd.ts';
import { storedResourceOf } from '#apiserver/resources/custom.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { decode } from '#apiserver/storage/codec.ts';
import { keyOf, prefixOf } from '#apiserver/storage/keys.ts';
import { changeObject } from '#apiserver/storage/objects.ts';
import { deleteObject } from '#apiserver/verbs/delete.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { withCondition } from './conditions.ts';
import { definitionKind } from './kind.ts';
import { cleanupFinalizer } from './rules.ts';

const pageSize = 500;
const backoff = { firstMs: 200, maxMs: 10_000 };
/** Other replicas hear of the deletion a moment later, and may have let an object in meanwhile: so long it is looked again. */
const graceMs = 1_000;

/**
 * Deletes all objects of a definition that is being deleted, waits for their finalizers, and then takes its own off the definition. Goes on
 * until that is done, somebody else has done it, or the signal aborts: then rejects.
 */
export async function terminate(
  definition: StoredObject,
  context: ServerContext,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const resource = storedResourceOf(asCrd(definition));
  const { clock, random } = context;
  const end = clock.monotonic() + graceMs;
  for (let round = 1; ; round++) {
    const left = await deleteAll(definition, resource, context, signal);
    if (left === undefined) return;
    if (left === 0 && clock.monotonic() >= end) break;
    if (left > 0) log.info('Waiting for objects of a deleted kind', { name: definition.metadata.name, left });
    await clock.sleep(left === 0 ? end - clock.monotonic() : backoffMs(round, backoff, random), signal);
  }
  await release(definition, context);
}

/**
 * One round over all objects. How many there were: those that are gone now are found so by the next round. Undefined if the definition
 * itself has gone meanwhile.
 */
async function deleteAll(
  definition: StoredObject,
  resource: Resource,
  context: ServerContext,
  signal: AbortSignal,
): Promise<number | undefined> {
  const prefix = prefixOf(resource);
  let page = await context.store.list(prefix, { limit: pageSize });
  const { rev } = page;
  let count = 0;
  for (;;) {
    // After the list: what it shows is then of this definition, and not of a later one under the same name.
    if (!(await isThere(definition, context))) return undefined;
    for (const kv of page.kvs) {
      signal.throwIfAborted();
      const object = decode(kv.value, kv.modRev, resource);
      if (!isDeleting(object)) await deleteOne(object, resource, context);
    }
    count += page.kvs.length;
    const last = page.kvs.at(-1);
    if (page.remaining === 0 || !last) return count;
    page = await context.store.list(prefix, { limit: pageSize, rev, after: last.key });
  }
}

async function isThere({ metadata }: StoredObject, { store }: ServerContext): Promise<boolean> {
  const { kv } = await store.get(keyOf(definitionKind, undefined, metadata.name));
  return kv !== undefined && decode(kv.value, kv.modRev, definitionKind).metadata.uid === metadata.uid;
}

async function deleteOne({ metadata }: StoredObject, resource: Resource, context: ServerContext): Promise<void> {
  const { name, namespace, uid } = metadata;
  try {
    await deleteObject(context, { resource, namespace, name }, { uid, dryRun: false });
  } catch (error) {
    // Another replica does the same; what its kind protects is waited for.
    if (!isCode(error, 'NotFound', 'Conflict', 'Forbidden')) throw error;
  }
}

/** Without our finalizer, and gone if it was the last one. */
async function release({ metadata }: StoredObject, context: ServerContext): Promise<void> {
  const key = { resource: definitionKind, namespace: undefined, name: metadata.name };
  const now = timestamp(context.clock.now());
  try {
    await changeObject(
      context.store,
      key,
      (current) => {
        if (current.metadata.uid !== metadata.uid) return { type: 'write', object: current };
        const finalizers = (current.metadata.finalizers ?? []).filter((name) => name !== cleanupFinalizer);
        const { finalizers: _, ...rest } = current.metadata;
        const object = { ...current, metadata: { ...rest, ...(finalizers.length > 0 ? { finalizers } : {}) } };
        if (finalizers.length === 0) return { type: 'remove', object };
        return { type: 'write', object: withCondition(object, completed, now) };
      },
      false,
    );
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
}

const completed = {
  type: 'Terminating',
  status: 'False',
  reason: 'InstanceDeletionCompleted',
  message: 'removed all instances',
};
