import type { Answer, Call } from '#apiserver/http/call.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { type ApiError, isCode } from '#lib/std/errors.ts';
import { deleteObject } from './delete.ts';
import { type DeleteOptions, readDeleteOptions } from './delete-options.ts';
import { listObject, listSelected } from './list.ts';
import type { ServerContext } from './server-context.ts';

/**
 * DELETE of a collection: one object after the other, not all or nothing; answers with the list of what it met. What its kind protects,
 * and what is not as the preconditions say, stays, and is told once everything else is gone.
 */
export async function removeCollection(context: ServerContext, call: Call): Promise<Answer> {
  const { resource } = call;
  const options = await readDeleteOptions(call);
  const page = await listSelected(context, call);
  const refusals: ApiError[] = [];
  for (const object of page.items) {
    call.signal.throwIfAborted();
    const refusal = await removeOne(context, call, object, options);
    if (refusal) refusals.push(refusal);
  }
  if (refusals[0]) throw refusals[0];
  return { status: 200, body: listObject(resource, page) };
}

async function removeOne(
  context: ServerContext,
  call: Call,
  object: StoredObject,
  options: DeleteOptions,
): Promise<ApiError | undefined> {
  const { name, namespace, uid } = object.metadata;
  try {
    // By uid: a new object under the same name was not selected.
    await deleteObject(context, { resource: call.resource, namespace, name }, { uid, ...options });
    return undefined;
  } catch (error) {
    if (isCode(error, 'Forbidden')) return error;
    // Preconditions of the client's own hold for each object.
    if (isCode(error, 'Conflict') && (options.uid ?? options.resourceVersion) !== undefined) return error;
    if (!isCode(error, 'NotFound', 'Conflict')) throw error;
    return undefined;
  }
}
