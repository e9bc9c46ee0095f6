import { admissionDefaults, admissionRequest, admit } from '#apiserver/admission/admission.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { badRequest } from '#apiserver/http/status.ts';
import type { ApiObject } from '#apiserver/json/object.ts';
import { hasGeneration, type Resource } from '#apiserver/resources/resource.ts';
import { createObject } from '#apiserver/storage/objects.ts';
import { timestamp } from '#lib/std/clock.ts';
import { ApiError, isCode } from '#lib/std/errors.ts';
import type { Random } from '#lib/std/random.ts';
import { requireActiveNamespace } from './namespace.ts';
import { readWriteOptions } from './options.ts';
import { authorOf, recordUpdate } from './ownership.ts';
import { defaultAsStored, prepare } from './prepare.ts';
import { readSent } from './sent.ts';
import type { ServerContext } from './server-context.ts';
import { validate } from './validate.ts';

/** Without vowels and look-alikes, as apimachinery's util/rand: no word comes out by chance. */
const suffixLetters = 'bcdfghjklmnpqrstvwxz2456789';
const suffixLength = 5;
/** What is made up by the server is short enough for any kind of name. */
const maxGeneratedBase = 63 - suffixLength;
/** Kubernetes 1.30 and later: tries to find a free name before AlreadyExists. */
const maxNames = 8;

export async function create(context: ServerContext, call: Call): Promise<Answer> {
  const { resource, path } = call;
  const options = readWriteOptions(call, 'CreateOptions');
  const object = prepare(await readSent(call), resource, options.fieldValidation, call.warn);
  if (path.name !== undefined)
    throw new ApiError('MethodNotAllowed', `POST is for the collection: leave "${path.name}" out of the path`);
  if (object.metadata.resourceVersion !== undefined)
    throw new ApiError('Unknown', 'resourceVersion should not be set on objects to be created');
  const author = authorOf(context, options);
  const own = (draft: ApiObject) => recordUpdate(undefined, draft, { resource, part: 'main', author });
  return await bringForth(context, call, object, own, options.dryRun);
}

/**
 * Stores an object that is not there yet. `own` notes down whose fields it has. AlreadyExists if the name is taken; a name that is made
 * up is tried again with another ending.
 */
export async function bringForth(
  context: ServerContext,
  call: Call,
  object: ApiObject,
  own: (draft: ApiObject) => ApiObject,
  dryRun: boolean,
): Promise<Answer> {
  const { resource, path } = call;
  checkPlace(object, path.namespace);
  if (path.namespace !== undefined) await requireActiveNamespace(context, resource, object, path.namespace);
  const generated = object.metadata.name ? undefined : object.metadata.generateName;
  const request = admissionRequest(context, call, 'main', dryRun);
  for (let attempt = 1; ; attempt++) {
    if (generated) object.metadata.name = `${generated.slice(0, maxGeneratedBase)}${suffix(context.random)}`;
    const draft = admissionDefaults(
      defaultAsStored(own(fillIn(object, resource, path.namespace, context)), resource),
      undefined,
      resource,
    );
    validate(draft, undefined, resource);
    await admit(draft, undefined, request);
    const key = { resource, namespace: path.namespace, name: draft.metadata.name ?? '' };
    try {
      return { status: 201, body: await createObject(context.store, key, draft, dryRun) };
    } catch (error) {
      if (!generated || attempt >= maxNames || !isCode(error, 'AlreadyExists')) throw error;
    }
  }
}

function checkPlace(object: ApiObject, namespace: string | undefined): void {
  const { metadata } = object;
  if (metadata.namespace !== undefined && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

function suffix(random: Random): string {
  return Array.from(
    { length: suffixLength },
    () => suffixLetters[Math.floor(random.next() * suffixLetters.length)],
  ).join('');
}

function fillIn(
  object: ApiObject,
  resource: Resource,
  namespace: string | undefined,
  context: ServerContext,
): ApiObject {
  const { status, ...rest } = object;
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, generation: ___, ...metadata } = object.metadata;
  return {
    ...(resource.status || status === undefined ? rest : { ...rest, status }),
    metadata: {
      ...metadata,
      ...(namespace === undefined ? {} : { namespace }),
      uid: context.random.uuid(),
      creationTimestamp: timestamp(context.clock.now()),
      ...(hasGeneration(resource) ? { generation: 1 } : {}),
    },
  } as ApiObject;
}
