/** metav1.DeleteOptions: in the body, in the query, or both. */
import { decodeBody, objectIn } from '#apiserver/http/body.ts';
import type { Call } from '#apiserver/http/call.ts';
import { badRequest, invalidOption } from '#apiserver/http/status.ts';
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { forbidden, invalid, notSupported } from '#apiserver/schema/causes.ts';
import { readDryRun } from './options.ts';

export interface DeleteOptions {
  /** undefined: as the object's finalizers already say. */
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly dryRun: boolean;
}

const kind = 'DeleteOptions';

export async function readDeleteOptions(call: Call): Promise<DeleteOptions> {
  const body = await readOptionsBody(call);
  const conditions = at(body, 'preconditions');
  const preconditions = isObject(conditions) ? conditions : {};
  const grace = call.query.get('gracePeriodSeconds') ?? at(body, 'gracePeriodSeconds') ?? null;
  if (grace !== null && !(Number(grace) >= 0))
    throw invalidOption(kind, invalid('gracePeriodSeconds', grace, 'must be greater than or equal to 0'));
  const dryRun = [...call.query.getAll('dryRun'), ...texts(at(body, 'dryRun'))];
  return {
    ...readPropagation(call, body),
    ...text(preconditions, 'uid'),
    ...text(preconditions, 'resourceVersion'),
    dryRun: readDryRun(dryRun, kind),
  };
}

async function readOptionsBody(call: Call): Promise<JsonObject> {
  const bytes = await call.body();
  if (bytes.length === 0) return {};
  return objectIn(decodeBody(bytes, call.headers.contentType, kind).value, kind);
}

function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function text<K extends string>(object: JsonObject, name: K): { [P in K]?: string } {
  const value = at(object, name);
  if (value === undefined || value === null) return {};
  if (typeof value !== 'string') throw badRequest(`DeleteOptions.preconditions.${name} must be a string`);
  return { [name]: value } as { [P in K]?: string };
}

function readPropagation(call: Call, body: JsonObject): Pick<DeleteOptions, 'propagation'> {
  const policy = call.query.get('propagationPolicy') || at(body, 'propagationPolicy');
  const orphan = at(body, 'orphanDependents') ?? call.query.get('orphanDependents');
  if (policy === undefined || policy === null || policy === '') {
    if (orphan === null || orphan === undefined) return {};
    return { propagation: orphan === true || orphan === 'true' ? 'Orphan' : 'Background' };
  }
  if (orphan !== null && orphan !== undefined)
    throw invalidOption(
      kind,
      forbidden('orphanDependents', 'orphanDependents and propagationPolicy cannot be both set'),
    );
  if (policy === 'Background' || policy === 'Foreground' || policy === 'Orphan') return { propagation: policy };
  throw invalidOption(kind, notSupported('propagationPolicy', policy, ['Foreground', 'Background', 'Orphan', 'nil']));
}
