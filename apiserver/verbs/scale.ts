/** The scale subresource: autoscaling/v1 Scale, read from and written to the paths that the CustomResourceDefinition names. */
import { admissionRequest, admitted } from '#apiserver/admission/admission.ts';
import { setOf } from '#apiserver/apply/field-set.ts';
import { leaveFigure, takeFigure } from '#apiserver/apply/figure.ts';
import type { Managers } from '#apiserver/apply/managers.ts';
import { fieldStep } from '#apiserver/apply/step.ts';
import type { Writer } from '#apiserver/apply/writer.ts';
import { objectIn } from '#apiserver/http/body.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { mediaType } from '#apiserver/http/negotiate.ts';
import { badRequest, conflict, invalidObject, modified, notFound } from '#apiserver/http/status.ts';
import { at, atPath, isObject, type Json, type JsonObject, withPath } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf, type Resource, type ScalePaths } from '#apiserver/resources/resource.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { changeObject, readObject } from '#apiserver/storage/objects.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { applyType, conflictOf, parseConfig, readApplyOptions } from './apply.ts';
import { readWriteOptions, type WriteOptions } from './options.ts';
import { managersOf, withManagers } from './ownership.ts';
import { readPatch } from './patch.ts';
import { readSent } from './sent.ts';
import type { ServerContext } from './server-context.ts';
import { settle } from './settle.ts';

const scaleVersion = 'autoscaling/v1';

export async function getScale(context: ServerContext, call: Call): Promise<Answer> {
  const object = await readObject(context.store, keyOf(call));
  return { status: 200, body: scaleOf(object, pathsOf(call)) };
}

/** PUT of a whole Scale. */
export async function updateScale(context: ServerContext, call: Call): Promise<Answer> {
  const { value } = await readSent(call, 'Scale');
  const options = readWriteOptions(call, 'UpdateOptions');
  return await write(context, call, { edit: () => value, operation: 'Update', force: true, options });
}

/** PATCH of the Scale as it is served. */
export async function patchScale(context: ServerContext, call: Call): Promise<Answer> {
  if (mediaType(call.headers.contentType) === applyType) return await applyScale(context, call);
  const { apply } = await readPatch(call);
  const options = readWriteOptions(call, 'PatchOptions');
  return await write(context, call, { edit: apply, operation: 'Update', force: true, options });
}

async function applyScale(context: ServerContext, call: Call): Promise<Answer> {
  const { options, force } = readApplyOptions(call);
  const scale = objectIn(parseConfig(await call.body()).value, 'Scale');
  if (at(scale, 'apiVersion') !== scaleVersion || at(scale, 'kind') !== 'Scale')
    throw badRequest(`invalid object type: ${String(at(scale, 'apiVersion'))}, Kind=${String(at(scale, 'kind'))}`);
  return await write(context, call, { edit: () => scale, operation: 'Apply', force, options });
}

function keyOf(call: Call) {
  return { resource: call.resource, namespace: call.path.namespace, name: call.path.name ?? '' };
}

function pathsOf(call: Call): ScalePaths {
  if (!call.resource.scale) throw notFound(call.resource, `${call.path.name ?? ''}/scale`);
  return call.resource.scale;
}

interface Edit {
  readonly edit: (scale: JsonObject) => JsonObject;
  readonly operation: 'Apply' | 'Update';
  readonly force: boolean;
  readonly options: WriteOptions;
}

async function write(context: ServerContext, call: Call, edit: Edit): Promise<Answer> {
  const paths = pathsOf(call);
  const { dryRun } = edit.options;
  const request = admissionRequest(context, call, 'scale', dryRun);
  const change = (current: StoredObject) => {
    const scale = edit.edit(scaleOf(current, paths));
    checkScale(current, scale, call.resource);
    const left = edit.operation === 'Apply' && atPath(scale, ['spec', 'replicas']) === undefined;
    const wanted = left ? current : scaled(current, scale, paths);
    const own = (next: ApiObject) => withManagers(next, ownersAfter(current, next, call, paths, edit, left));
    return admitted(settle(current, wanted, call.resource, 'main', own), current, request);
  };
  const { object } = await changeObject(context.store, keyOf(call), change, dryRun);
  return { status: 200, body: scaleOf(object, paths) };
}

/** An applied Scale without a figure leaves the figure to others. */
function ownersAfter(
  current: StoredObject,
  next: ApiObject,
  call: Call,
  { specReplicas }: ScalePaths,
  { operation, force, options }: Edit,
  left: boolean,
): Managers {
  const known = managersOf(current);
  const writer = scaleWriter(call.resource, options.manager, operation);
  if (left) return leaveFigure(known, writer);
  if (known.size === 0 && operation === 'Update') return known;
  const changed = !sameJson(atPath(current, specReplicas), atPath(next, specReplicas));
  const taken = takeFigure(known, setOf(specReplicas.map(fieldStep)), writer, { changed, force });
  if (taken.ok) return taken.managers;
  const path = ['f:spec', 'f:replicas'];
  throw conflictOf(taken.owners.map((owner) => ({ manager: { ...owner, apiVersion: scaleVersion }, path })));
}

function scaleWriter(resource: Resource, name: string, operation: Writer['operation']): Writer {
  const apiVersion = apiVersionOf(resource);
  return { name, operation, apiVersion, subresource: 'scale', time: '', reach: { type: 'all' } };
}

function checkScale(current: StoredObject, scale: JsonObject, resource: Resource): void {
  const { name } = current.metadata;
  const sent = at(scale, 'metadata');
  const metadata = isObject(sent) ? sent : {};
  const version = at(metadata, 'resourceVersion');
  if (version !== undefined && version !== '' && version !== current.metadata.resourceVersion)
    throw conflict(resource, name, modified);
  const sentName = at(metadata, 'name');
  if (sentName !== undefined && sentName !== name)
    throw badRequest(`the name of the object (${String(sentName)}) does not match the name on the URL (${name})`);
}

/** The object with the figure of this Scale in it. */
function scaled(current: StoredObject, scale: JsonObject, paths: ScalePaths): ApiObject {
  return withPath(current, paths.specReplicas, replicasOf(scale, current.metadata.name)) as ApiObject;
}

function replicasOf(scale: JsonObject, name: string): Json {
  const replicas = atPath(scale, ['spec', 'replicas']) ?? 0;
  if (!Number.isInteger(replicas))
    throw invalidObject({ group: 'autoscaling', kind: 'Scale' }, name, [
      invalid('spec.replicas', replicas, 'must be a whole number'),
    ]);
  return replicas;
}

/** Figures that are not there are 0, as the client expects numbers. */
export function scaleOf(object: StoredObject, paths: ScalePaths): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const figure = (path: readonly string[]) => {
    const value = atPath(object, path);
    return typeof value === 'number' ? value : 0;
  };
  const selector = paths.labelSelector ? atPath(object, paths.labelSelector) : undefined;
  return {
    kind: 'Scale',
    apiVersion: scaleVersion,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp },
    spec: { replicas: figure(paths.specReplicas) },
    status: {
      replicas: figure(paths.statusReplicas),
      ...(typeof selector === 'string' && selector !== '' ? { selector } : {}),
    },
  };
}
