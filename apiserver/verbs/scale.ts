/** The scale subresource: autoscaling/v1 Scale, read from and written to the paths that the CustomResourceDefinition names. */
import { admissionRequest, admitted } from '#apiserver/admission/admission.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { badRequest, conflict, invalidObject, modified, notFound } from '#apiserver/http/status.ts';
import { at, atPath, isObject, type Json, type JsonObject, withPath } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { Resource, ScalePaths } from '#apiserver/resources/resource.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { changeObject, readObject } from '#apiserver/storage/objects.ts';
import { readWriteOptions } from './options.ts';
import { readPatch } from './patch.ts';
import { readSent } from './sent.ts';
import type { ServerContext } from './server-context.ts';
import { settle } from './settle.ts';

export async function getScale(context: ServerContext, call: Call): Promise<Answer> {
  const object = await readObject(context.store, keyOf(call));
  return { status: 200, body: scaleOf(object, pathsOf(call)) };
}

/** PUT of a whole Scale. */
export async function updateScale(context: ServerContext, call: Call): Promise<Answer> {
  const { value } = await readSent(call, 'Scale');
  return await write(context, call, 'UpdateOptions', () => value);
}

/** PATCH of the Scale as it is served. */
export async function patchScale(context: ServerContext, call: Call): Promise<Answer> {
  const { apply } = await readPatch(call);
  return await write(context, call, 'PatchOptions', apply);
}

function keyOf(call: Call) {
  return { resource: call.resource, namespace: call.path.namespace, name: call.path.name ?? '' };
}

function pathsOf(call: Call): ScalePaths {
  if (!call.resource.scale) throw notFound(call.resource, `${call.path.name ?? ''}/scale`);
  return call.resource.scale;
}

async function write(
  context: ServerContext,
  call: Call,
  optionsKind: string,
  edit: (scale: JsonObject) => JsonObject,
): Promise<Answer> {
  const paths = pathsOf(call);
  const options = readWriteOptions(call.query, optionsKind);
  const request = admissionRequest(context, call, 'scale', options.dryRun);
  const change = (current: StoredObject) => {
    const wanted = scaled(current, edit(scaleOf(current, paths)), call.resource, paths);
    return admitted(settle(current, wanted, call.resource, 'main'), current, request);
  };
  const { object } = await changeObject(context.store, keyOf(call), change, options.dryRun);
  return { status: 200, body: scaleOf(object, paths) };
}

/** The object with the figure of this Scale in it. */
function scaled(current: StoredObject, scale: JsonObject, resource: Resource, paths: ScalePaths): ApiObject {
  const { name } = current.metadata;
  const sent = at(scale, 'metadata');
  const metadata = isObject(sent) ? sent : {};
  const version = at(metadata, 'resourceVersion');
  if (version !== undefined && version !== '' && version !== current.metadata.resourceVersion)
    throw conflict(resource, name, modified);
  const sentName = at(metadata, 'name');
  if (sentName !== undefined && sentName !== name)
    throw badRequest(`the name of the object (${String(sentName)}) does not match the name on the URL (${name})`);
  return withPath(current, paths.specReplicas, replicasOf(scale, name)) as ApiObject;
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
    apiVersion: 'autoscaling/v1',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp },
    spec: { replicas: figure(paths.specReplicas) },
    status: {
      replicas: figure(paths.statusReplicas),
      ...(typeof selector === 'string' && selector !== '' ? { selector } : {}),
    },
  };
}
