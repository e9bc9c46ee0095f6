import type { Answer, Call } from '#apiserver/http/call.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { isCode } from '#lib/std/errors.ts';
import { deleteObject } from './delete.ts';
import { type DeleteOptions, readDeleteOptions } from './delete-options.ts';
import { listAll, listObject } from './list.ts';
import type { ServerContext } from './server-context.ts';

/** DELETE of a collection: one object after the other, not all or nothing; answers with the list of what it met. */
export async function removeCollection(context: ServerContext, call: Call): Promise<Answer> {
  const { resource } = call;
  const options = await readDeleteOptions(call);
  const page = await listAll(context, call);
  for (const object of page.items) {
    call.signal.throwIfAborted();
    await removeOne(context, call, object, options);
  }
  return { status: 200, body: listObject(resource, page) };
}

async function removeOne(
  context: ServerContext,
  call: Call,
  object: StoredObject,
  options: DeleteOptions,
): Promise<void> {
  const { name, namespace, uid } = object.metadata;
  try {
    // By uid: a new object under the same name was not selected.
    await deleteObject(context, { resource: call.resource, namespace, name }, { ...options, uid }, { direct: false });
  } catch (error) {
    if (!isCode(error, 'NotFound', 'Conflict')) throw error;
  }
}
