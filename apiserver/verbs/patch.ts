import { admissionRequest, admitted } from '#apiserver/admission/admission.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { mediaType } from '#apiserver/http/negotiate.ts';
import { badRequest, invalidOption } from '#apiserver/http/status.ts';
import { copyJson, goTypeOf, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject } from '#apiserver/json/object.ts';
import { parseJson, requireShallow } from '#apiserver/json/strict.ts';
import { jsonPatch } from '#apiserver/patch/json-patch.ts';
import { mergePatch } from '#apiserver/patch/merge.ts';
import { strategicPatch } from '#apiserver/patch/strategic.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { forbidden } from '#apiserver/schema/causes.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { changeObject } from '#apiserver/storage/objects.ts';
import { ApiError } from '#lib/std/errors.ts';
import { applyPatch, applyType } from './apply.ts';
import { readWriteOptions } from './options.ts';
import { authorOf, recordUpdate } from './ownership.ts';
import { prepare } from './prepare.ts';
import type { ServerContext } from './server-context.ts';
import { type Part, settle } from './settle.ts';

/** A patch that has been read: makes the new document from the old one. */
export interface Patch {
  readonly apply: (document: JsonObject) => JsonObject;
  readonly duplicates: readonly string[];
}

/** PATCH: read, patch, write, and again if somebody was faster. Only a resourceVersion in the patch itself makes a race a Conflict. */
export async function patch(context: ServerContext, call: Call, part: Part = 'main'): Promise<Answer> {
  if (mediaType(call.headers.contentType) === applyType) return await applyPatch(context, call, part);
  const { resource, path } = call;
  const options = readWriteOptions(call, 'PatchOptions');
  const change = await readPatch(call);
  if (path.name === undefined) throw badRequest('name must be provided');
  const key = { resource, namespace: path.namespace, name: path.name };
  const request = admissionRequest(context, call, part, options.dryRun);
  const author = authorOf(context, options);
  const { object } = await changeObject(
    context.store,
    key,
    (current) => {
      const value = change.apply(copyJson(current));
      const wanted = prepare({ value, duplicates: change.duplicates }, resource, options.fieldValidation, call.warn);
      const own = (next: ApiObject) => recordUpdate(current, next, { resource, part, author });
      return admitted(settle(current, wanted, resource, part, own), current, request);
    },
    options.dryRun,
  );
  return { status: 200, body: object };
}

/** UnsupportedMediaType for a type that this resource does not take, BadRequest for a patch that is none of its type. */
export async function readPatch(call: Call): Promise<Patch> {
  const type = mediaType(call.headers.contentType);
  if (call.query.get('force') !== null)
    throw invalidOption('PatchOptions', forbidden('force', 'may not be specified for non-apply patch'));
  const bytes = await call.body();
  const { value, duplicates } = readPatchBody(type, bytes, call.resource);
  return { apply: applier(type, value, call.resource.schema), duplicates };
}

function readPatchBody(type: string, bytes: Buffer, resource: Resource) {
  const strategic = type === 'application/strategic-merge-patch+json';
  if (!accepted.has(type) && !(strategic && resource.builtin)) throw unsupported(resource);
  return parseJson(bytes.toString('utf8'), 'error decoding patch');
}

const accepted = new Set(['application/json-patch+json', 'application/merge-patch+json']);

function unsupported(resource: Resource): ApiError {
  const strategic = resource.builtin ? ['application/strategic-merge-patch+json'] : [];
  const types = [...accepted, ...strategic, applyType].join(', ');
  return new ApiError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${types}`,
  );
}

function applier(type: string, value: Json, schema: Schema): (document: JsonObject) => JsonObject {
  if (type === 'application/json-patch+json') return (document) => mustBeObject(jsonPatch(document, value));
  if (!isObject(value))
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${goTypeOf(value)} into Go value of type map[string]interface {}`,
    );
  if (type === 'application/merge-patch+json') return (document) => mustBeObject(mergePatch(document, value));
  return (document) => strategicPatch(document, value, schema);
}

function mustBeObject(value: Json): JsonObject {
  requireShallow(value);
  if (isObject(value)) return value;
  throw badRequest('the patched document is not an object');
}
