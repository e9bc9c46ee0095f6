/** Definitions that come with the server are in the store before it answers: created if absent, brought up to date if they say something else. */
import type { Call } from '#apiserver/http/call.ts';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import type { Crd } from '#apiserver/resources/crd.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import { create } from '#apiserver/verbs/create.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { update } from '#apiserver/verbs/update.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { definitionKind } from './kind.ts';

/** Replicas that start together, and clients, may write to the same definition. */
const maxAttempts = 10;

/**
 * Leaves alone what others added: other definitions, and labels, annotations and finalizers of these. Rejects for a definition that is not
 * valid, or that cannot follow on the one that is there, naming it.
 */
export async function installDefinitions(crds: readonly Crd[], context: ServerContext, log: Log): Promise<void> {
  for (const crd of crds)
    try {
      await install(crd, context, log);
    } catch (error) {
      throw new Error(`Cannot install ${crd.metadata.name}: ${messageOf(error)}`, { cause: error });
    }
}

async function install(crd: Crd, context: ServerContext, log: Log): Promise<void> {
  for (let attempt = 1; ; attempt++)
    try {
      return await write(crd, context);
    } catch (error) {
      if (attempt >= maxAttempts || !isCode(error, 'AlreadyExists', 'Conflict', 'NotFound')) throw error;
      log.info('Somebody else writes this definition too', { name: crd.metadata.name, attempt });
    }
}

async function write(crd: Crd, context: ServerContext): Promise<void> {
  const { name } = crd.metadata;
  const current = await find(name, context);
  // By the same verbs as a client's request, so that nothing is stored that a client could not store. An update without difference
  // writes nothing.
  if (current) await update(context, callOf('PUT', { ...current, spec: crd.spec as unknown as Json }, name));
  else await create(context, callOf('POST', crd as unknown as JsonObject));
}

async function find(name: string, context: ServerContext): Promise<JsonObject | undefined> {
  try {
    return await readObject(context.store, { resource: definitionKind, namespace: undefined, name });
  } catch (error) {
    if (isCode(error, 'NotFound')) return undefined;
    throw error;
  }
}

function callOf(method: string, object: JsonObject, name?: string): Call {
  const { group, version, plural } = definitionKind;
  return {
    method,
    path: { type: 'resource', group, version, plural, watch: false, ...(name === undefined ? {} : { name }) },
    resource: definitionKind,
    query: new URLSearchParams({ fieldManager: 'factory-apiserver', fieldValidation: 'Strict' }),
    user: { name: 'system:apiserver', groups: ['system:masters'] },
    headers: { accept: undefined, contentType: 'application/json', userAgent: undefined },
    signal: new AbortController().signal,
    body: async () => Buffer.from(JSON.stringify(object)),
    require() {},
    warn() {},
  };
}
