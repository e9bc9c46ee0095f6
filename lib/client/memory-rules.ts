/**
 * What a Kubernetes API server does to an object on its way into the store, as pure functions: metadata that the server owns, the
 * separation of status, generation, finalizers. Registry rules of apiserver's generic registry and of custom resources.
 */
import { coreKinds } from '#lib/api/core.ts';
import { apiVersionOf, type Kind, type KubeObject, type ObjectMeta } from '#lib/api/meta.ts';
import { timestamp } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';

export interface Stored extends KubeObject {
  readonly spec?: { readonly finalizers?: readonly string[] };
  readonly status?: unknown;
}

export interface Stamp {
  readonly nowMs: number;
  readonly uid: string;
}

const foreground = 'foregroundDeletion';
const orphan = 'orphan';

/** Custom resources count generations; of Kubernetes' own kinds none that we use does. */
function countsGenerations(kind: Kind): boolean {
  return !coreKinds.some((core) => core.group === kind.group && core.plural === kind.plural);
}

/** The object without status (a create never sets it), with what the server fills in. */
export function created(kind: Kind, draft: Stored, name: string, stamp: Stamp): Stored {
  const { status: _, ...body } = draft;
  const metadata: ObjectMeta = {
    ...body.metadata,
    name,
    uid: stamp.uid,
    resourceVersion: '',
    creationTimestamp: timestamp(stamp.nowMs),
    ...(countsGenerations(kind) && { generation: 1 }),
  };
  const object = { ...body, apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: withoutDeletion(metadata) };
  if (kind.kind !== 'Namespace') return object;
  const labels = { ...metadata.labels, 'kubernetes.io/metadata.name': name };
  return {
    ...object,
    metadata: { ...object.metadata, labels },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  } as Stored;
}

function withoutDeletion(metadata: ObjectMeta): ObjectMeta {
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, ...rest } = metadata;
  return rest;
}

/** The new version of `old` after a write of the main resource. Throws Invalid for a finalizer added to a dying object. */
export function updated(kind: Kind, old: Stored, sent: Stored): Stored {
  const { status: _, ...body } = sent;
  const kept = { ...ownedByServer(old.metadata), resourceVersion: old.metadata.resourceVersion };
  const metadata = { ...withoutDeletion(body.metadata), ...kept } as ObjectMeta;
  refuseNewFinalizers(kind, old, metadata);
  const next: Stored = { ...body, metadata, ...(old.status !== undefined && { status: old.status }) };
  // Only /finalize may change these.
  const object = kind.kind === 'Namespace' ? { ...next, spec: old.spec! } : next;
  return sameJson(contentOf(object), contentOf(old)) ? object : nextGeneration(kind, object);
}

function ownedByServer(metadata: ObjectMeta): Partial<ObjectMeta> {
  const { name, namespace, uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation } =
    metadata;
  const owned = { name, namespace, uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation };
  return Object.fromEntries(Object.entries(owned).filter(([, value]) => value !== undefined));
}

function refuseNewFinalizers(kind: Kind, old: Stored, metadata: ObjectMeta): void {
  if (old.metadata.deletionTimestamp === undefined) return;
  const added = (metadata.finalizers ?? []).filter((name) => !(old.metadata.finalizers ?? []).includes(name));
  if (added.length === 0) return;
  const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
  throw new ApiError('Invalid', `${kind.kind} "${metadata.name}" is invalid: metadata.finalizers: ${message}`, {
    details: { causes: [{ reason: 'FieldValueForbidden', message, field: 'metadata.finalizers' }] },
  });
}

/** Everything outside metadata and status. */
function contentOf({ metadata: _, status: __, ...content }: Stored): object {
  return content;
}

function nextGeneration(kind: Kind, object: Stored): Stored {
  if (!countsGenerations(kind)) return object;
  return { ...object, metadata: { ...object.metadata, generation: (object.metadata.generation ?? 0) + 1 } };
}

/** The new version of `old` after a write of /status: nothing but the status is taken. */
export function statusUpdated(old: Stored, sent: Stored): Stored {
  const { status: _, ...rest } = old;
  return sent.status === undefined ? rest : { ...rest, status: sent.status };
}

/** A write that changes nothing keeps its resourceVersion and tells no watch. */
export function isSame(a: Stored, b: Stored): boolean {
  return sameJson(a, b);
}

/** What a DELETE makes of an object that something still holds; undefined if nothing does and it can go at once. */
export function deleting(kind: Kind, old: Stored, propagation: string | undefined, nowMs: number): Stored | undefined {
  const others = (old.metadata.finalizers ?? []).filter((name) => name !== foreground && name !== orphan);
  const added = propagation === 'Foreground' ? [foreground] : propagation === 'Orphan' ? [orphan] : [];
  const { finalizers: _, ...rest } = old.metadata;
  const finalizers = [...others, ...added];
  const metadata: ObjectMeta = finalizers.length > 0 ? { ...rest, finalizers } : rest;
  const object: Stored = { ...old, metadata };
  if (!isHeld(object)) return undefined;
  if (old.metadata.deletionTimestamp !== undefined) return object;
  const marked: Stored = {
    ...object,
    metadata: { ...metadata, deletionTimestamp: timestamp(nowMs), deletionGracePeriodSeconds: 0 },
    ...(kind.kind === 'Namespace' && { status: { phase: 'Terminating' } }),
  };
  return nextGeneration(kind, marked);
}

/** Finalizers of metadata, or a namespace's own, keep a dying object in the store. */
export function isHeld(object: Stored): boolean {
  const ofNamespace = object.kind === 'Namespace' ? (object.spec?.finalizers ?? []) : [];
  return (object.metadata.finalizers ?? []).length + ofNamespace.length > 0;
}
