/** From what a client sent to an object of its kind: identity checked, metadata typed, unknown fields dropped, defaults filled in. */
import type { Call } from '#apiserver/http/call.ts';
import { badRequest, invalidObject } from '#apiserver/http/status.ts';
import { asText, at, copyJson, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject } from '#apiserver/json/object.ts';
import { summary } from '#apiserver/json/strict.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { applyDefaults } from '#apiserver/schema/defaults.ts';
import { coerceMetadata } from '#apiserver/schema/metadata.ts';
import { dropNulls } from '#apiserver/schema/nulls.ts';
import { prune } from '#apiserver/schema/prune.ts';
import type { ApiError } from '#lib/std/errors.ts';
import type { FieldValidation } from './options.ts';
import { causesAgainst } from './validate.ts';

export interface Sent {
  readonly value: JsonObject;
  /** Fields given twice. */
  readonly duplicates: readonly string[];
}

/** Changes `sent.value` in place and returns it, typed. BadRequest or Invalid if it is not of this kind. */
export function prepare(sent: Sent, resource: Resource, mode: FieldValidation, warn: Call['warn']): ApiObject {
  const { value } = sent;
  if (resource.builtin) {
    dropNulls(value);
    nameType(value, resource);
  }
  checkIdentity(value, resource);
  const inVersion = `${resource.kind} in version "${resource.version}"`;
  const unknown: string[] = [];
  const metadata = coerceMetadata(at(value, 'metadata'), inVersion, unknown);
  const object = Object.assign(value, { metadata }) as ApiObject;
  for (const path of prune(object, resource.schema)) unknown.push(path);
  reportFields(sent.duplicates, unknown, mode, warn, `${inVersion} cannot be handled as a ${resource.kind}`);
  applyDefaults(object, resource.schema);
  return object;
}

/** It is stored in another version: what that one defaults is part of the object too, but nobody has asked for it. */
export function defaultAsStored(object: ApiObject, resource: Resource): ApiObject {
  if (resource.storageSchema === resource.schema) return object;
  const stored = copyJson(object);
  applyDefaults(stored, resource.storageSchema);
  return stored;
}

/** A body of one of Kubernetes' own kinds may leave its type to the path, as bodies of typed clients do. */
function nameType(value: JsonObject, resource: Resource): void {
  if (isMissing(at(value, 'kind'))) value.kind = resource.kind;
  if (isMissing(at(value, 'apiVersion'))) value.apiVersion = apiVersionOf(resource);
}

function isMissing(value: Json | undefined): boolean {
  return value === undefined || value === '';
}

function checkIdentity(value: JsonObject, resource: Resource): void {
  const kind = at(value, 'kind');
  const apiVersion = at(value, 'apiVersion');
  const expected = apiVersionOf(resource);
  if (typeof kind !== 'string' || kind === '') {
    const text = JSON.stringify(value);
    throw badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): Object 'Kind' is missing in '${text.slice(0, 200)}' (${summary(text)})`,
    );
  }
  if (apiVersion !== expected)
    throw badRequest(
      `the API version in the data (${asText(apiVersion)}) does not match the expected API version (${expected})`,
    );
  if (kind !== resource.kind) throw wrongKind(value, kind, resource);
}

/** Upstream goes on to say what else is wrong, with the object as it was sent: without the defaults of a kind that it is not. */
function wrongKind(value: JsonObject, kind: string, resource: Resource): ApiError {
  const metadata = coerceMetadata(at(value, 'metadata'), `${kind} in version "${resource.version}"`, []);
  const object = { ...value, metadata } as ApiObject;
  return invalidObject({ group: resource.group, kind }, metadata.name ?? '', [
    invalid('kind', kind, `must be ${resource.kind}`),
    ...causesAgainst(object, resource),
  ]);
}

/** Kubernetes' own limit (sigs.k8s.io/json, strict errors): one can read no more at once. */
const maxReported = 100;

export function reportFields(
  duplicates: readonly string[],
  unknown: readonly string[],
  mode: FieldValidation,
  warn: Call['warn'],
  failure: string,
): void {
  if (mode === 'Ignore') return;
  const problems = [
    ...duplicates.map((path) => `duplicate field "${path}"`),
    ...unknown.map((path) => `unknown field "${path}"`),
  ].slice(0, maxReported);
  if (problems.length === 0) return;
  if (mode === 'Strict') throw badRequest(`${failure}: strict decoding error: ${problems.join(', ')}`);
  for (const problem of problems) warn(problem);
}
