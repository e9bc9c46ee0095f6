/** Server-side apply: PATCH with application/apply-patch+yaml. */
import { admissionRequest, admitted } from '#apiserver/admission/admission.ts';
import type { Conflict } from '#apiserver/apply/apply.ts';
import { mistakesIn } from '#apiserver/apply/check.ts';
import { applyAsKubectl } from '#apiserver/apply/last-applied.ts';
import type { Manager } from '#apiserver/apply/managers.ts';
import { showPath } from '#apiserver/apply/step.ts';
import { typeIn } from '#apiserver/apply/writer.ts';
import { objectIn } from '#apiserver/http/body.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { badRequest, conflict, invalidOption, modified } from '#apiserver/http/status.ts';
import { at, copyJson, isObject, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { type Parsed, parseJson } from '#apiserver/json/strict.ts';
import { parseYaml } from '#apiserver/json/yaml.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { required } from '#apiserver/schema/causes.ts';
import { changeObject } from '#apiserver/storage/objects.ts';
import { ApiError, isCode } from '#lib/std/errors.ts';
import { bringForth } from './create.ts';
import { readManager, readWriteOptions, type WriteOptions } from './options.ts';
import { authorOf, managersOf, typesOf, untracked, withManagers, writerOf } from './ownership.ts';
import { prepare, reportFields } from './prepare.ts';
import type { ServerContext } from './server-context.ts';
import { type Part, settle } from './settle.ts';

export const applyType = 'application/apply-patch+yaml';

/** How often the object may come and go between our looking and our writing. */
const maxTurns = 8;

/** What is asked for, checked. */
interface Application {
  readonly config: JsonObject;
  readonly part: Part;
  readonly options: WriteOptions;
  readonly force: boolean;
}

/** Conflict, with a cause for every field, if somebody else owns with another value what the configuration sets. */
export async function applyPatch(context: ServerContext, call: Call, part: Part): Promise<Answer> {
  if (call.path.name === undefined) throw badRequest('name must be provided');
  const { options, force } = readApplyOptions(call);
  const config = readConfig(await call.body(), call, options);
  const application = { config, part, options, force };
  for (let turn = 1; ; turn++) {
    const answer = await applyOnce(context, call, application);
    if (answer) return answer;
    if (turn === maxTurns) throw conflict(call.resource, call.path.name, modified);
  }
}

export function readApplyOptions(call: Call): { options: WriteOptions; force: boolean } {
  const options = readWriteOptions(call, 'PatchOptions');
  if (readManager(call.query, 'PatchOptions') === '')
    throw invalidOption('PatchOptions', required('fieldManager', 'is required for apply patch'));
  return { options, force: readForce(call.query) };
}

function readForce(query: URLSearchParams): boolean {
  const text = query.get('force') ?? 'false';
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(|0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw badRequest(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** JSON is YAML too, and what most clients send: it is read as what it is. */
export function parseConfig(bytes: Buffer): Parsed {
  const text = bytes.toString('utf8');
  const what = 'error decoding YAML';
  if (!/^\s*\{/.test(text)) return parseYaml(text, what);
  try {
    return parseJson(text, what);
  } catch (error) {
    if (!isCode(error, 'BadRequest')) throw error;
    // It may still be a map in YAML's own braces.
    return parseYaml(text, what);
  }
}

function readConfig(bytes: Buffer, { resource, path, warn }: Call, options: WriteOptions): JsonObject {
  const { value, duplicates } = parseConfig(bytes);
  const config = objectIn(value, resource.kind);
  reportFields(duplicates, [], options.fieldValidation, warn, 'error strict decoding YAML');
  checkKind(config, resource);
  const metadata = at(config, 'metadata');
  if (isObject(metadata) && (at(metadata, 'managedFields') ?? null) !== null)
    throw badRequest('metadata.managedFields must be nil');
  const type = typeIn(apiVersionOf(resource), typesOf(resource));
  const mistakes = mistakesIn(config, type);
  if (mistakes.length > 0) throw untypable(mistakes, resource, path.name ?? '');
  return isObject(metadata) ? config : { ...config, metadata: {} };
}

function checkKind(config: JsonObject, resource: Resource): void {
  const apiVersion = at(config, 'apiVersion');
  const kind = at(config, 'kind');
  if (apiVersion === apiVersionOf(resource) && kind === resource.kind) return;
  throw badRequest(`invalid object type: ${String(apiVersion ?? '')}, Kind=${String(kind ?? '')}`);
}

/** Kubernetes makes this a 500 without a reason, whatever its clients make of it. */
function untypable(mistakes: readonly string[], resource: Resource, name: string): ApiError {
  const [first, ...more] = mistakes;
  const what = more.length === 0 ? first : `errors:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`;
  const object = `/${name}; ${apiVersionOf(resource)}, Kind=${resource.kind}`;
  return new ApiError('Unknown', `failed to create typed patch object (${object}): ${what}`);
}

/** undefined if the object came or went meanwhile. */
async function applyOnce(context: ServerContext, call: Call, application: Application): Promise<Answer | undefined> {
  const { resource, path } = call;
  const { part, options } = application;
  const key = { resource, namespace: path.namespace, name: path.name! };
  const request = admissionRequest(context, call, part, options.dryRun);
  const change = (current: StoredObject) => {
    const { wanted, own } = applied(context, current, call, application);
    return admitted(settle(current, wanted, resource, part, own), current, request);
  };
  try {
    const { object } = await changeObject(context.store, key, change, options.dryRun);
    return { status: 200, body: object };
  } catch (error) {
    if (!isCode(error, 'NotFound') || part !== 'main') throw error;
  }
  return await applyNew(context, call, application);
}

async function applyNew(context: ServerContext, call: Call, application: Application): Promise<Answer | undefined> {
  const name = call.path.name!;
  call.require('create');
  const { wanted, own } = applied(context, undefined, call, application);
  const { metadata } = wanted;
  if (metadata.uid !== undefined) throw conflict(call.resource, name, uidMismatch(metadata.uid));
  if (metadata.resourceVersion !== undefined) throw conflict(call.resource, name, modified);
  if (metadata.name !== undefined && metadata.name !== name)
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  const object = { ...wanted, metadata: { ...metadata, name } };
  try {
    return await bringForth(context, call, object, own, application.options.dryRun);
  } catch (error) {
    if (isCode(error, 'AlreadyExists')) return undefined;
    throw error;
  }
}

function uidMismatch(uid: string): string {
  return `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
}

/** The object that comes of it, and how to note down whose it is. */
function applied(
  context: ServerContext,
  current: StoredObject | undefined,
  { resource, warn }: Call,
  { config, part, options, force }: Application,
): { wanted: ApiObject; own: (object: ApiObject) => ApiObject } {
  const author = authorOf(context, options);
  const writer = writerOf({ resource, part, author }, 'Apply');
  const live = current && untracked(current);
  const managers = current ? managersOf(current) : new Map();
  const result = applyAsKubectl({ live, config, managers, writer, types: typesOf(resource), force });
  if (!result.ok) throw conflictOf(result.conflicts);
  const wanted = prepare({ value: copyJson(result.object), duplicates: [] }, resource, options.fieldValidation, warn);
  return { wanted, own: (object) => withManagers(object, result.managers) };
}

export function conflictOf(conflicts: readonly Conflict[]): ApiError {
  const causes = conflicts.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${nameOf(manager)}`,
    field: showPath(path),
  }));
  return new ApiError('Conflict', conflictMessage(conflicts), { details: { causes } });
}

function conflictMessage(conflicts: readonly Conflict[]): string {
  const [first, ...more] = conflicts;
  if (first && more.length === 0)
    return `Apply failed with 1 conflict: conflict with ${nameOf(first.manager)}: ${showPath(first.path)}`;
  const byManager = Map.groupBy(conflicts, ({ manager }) => nameOf(manager));
  const parts = [...byManager].flatMap(([name, paths]) => [
    `conflicts with ${name}:`,
    ...paths.map(({ path }) => `- ${showPath(path)}`),
  ]);
  return `Apply failed with ${conflicts.length} conflicts: ${parts.join('\n')}`;
}

function nameOf({ name, operation, apiVersion, subresource }: Manager): string {
  const whole = JSON.stringify(name) + (subresource === '' ? '' : ` with subresource "${subresource}"`);
  return operation === 'Update' ? `${whole} using ${apiVersion}` : whole;
}
