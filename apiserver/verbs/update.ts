import { admissionRequest, admitted } from '#apiserver/admission/admission.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { badRequest, conflict } from '#apiserver/http/status.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { hasGeneration, qualifiedName } from '#apiserver/resources/resource.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { changeObject } from '#apiserver/storage/objects.ts';
import { ApiError } from '#lib/std/errors.ts';
import { readWriteOptions } from './options.ts';
import { authorOf, recordUpdate } from './ownership.ts';
import { prepare } from './prepare.ts';
import { readSent } from './sent.ts';
import type { ServerContext } from './server-context.ts';
import { type Part, settle } from './settle.ts';

/** PUT: the object becomes what was sent, but for what the server owns. NotFound if it is not there. */
export async function update(context: ServerContext, call: Call, part: Part = 'main'): Promise<Answer> {
  const { resource, path } = call;
  const options = readWriteOptions(call, 'UpdateOptions');
  const sent = await readSent(call);
  if (path.name === undefined) throw badRequest('name must be provided');
  const wanted = prepare(sent, resource, options.fieldValidation, call.warn);
  if (wanted.metadata.name !== undefined && wanted.metadata.name !== path.name)
    throw badRequest(
      `the name of the object (${wanted.metadata.name}) does not match the name on the URL (${path.name})`,
    );
  const key = { resource, namespace: path.namespace, name: path.name };
  const request = admissionRequest(context, call, part, options.dryRun);
  const author = authorOf(context, options);
  const change = (current: StoredObject) => {
    requireVersion(current, wanted, call);
    return admitted(
      settle(current, wanted, resource, part, (next) => recordUpdate(current, next, { resource, part, author })),
      current,
      request,
    );
  };
  const { object } = await changeObject(context.store, key, change, options.dryRun);
  return { status: 200, body: object };
}

function requireVersion(current: StoredObject, wanted: ApiObject, call: Call): void {
  const { resource } = call;
  const { uid, resourceVersion } = wanted.metadata;
  if (uid !== undefined && uid !== current.metadata.uid)
    throw conflict(
      resource,
      current.metadata.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
    );
  if (resourceVersion !== undefined || !hasGeneration(resource)) return;
  const cause = invalid('metadata.resourceVersion', 0, 'must be specified for an update');
  const name = current.metadata.name;
  throw new ApiError('Invalid', `${qualifiedName(resource)} "${name}" is invalid: ${cause.field}: ${cause.message}`, {
    details: { name, group: resource.group, kind: resource.plural, causes: [cause] },
  });
}
