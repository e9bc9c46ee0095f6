/** From a request on a resource to the verb that answers it. */
import type { Call } from '#apiserver/http/call.ts';
import { notFound } from '#apiserver/http/status.ts';
import { type Answering, isServiceAccount } from '#apiserver/resources/resource.ts';
import { ApiError } from '#lib/std/errors.ts';
import { requestToken } from './reviews/token-request.ts';
import { create } from './verbs/create.ts';
import { remove } from './verbs/delete.ts';
import { removeCollection } from './verbs/deletecollection.ts';
import { get } from './verbs/get.ts';
import { list } from './verbs/list.ts';
import { patch } from './verbs/patch.ts';
import { getScale, patchScale, updateScale } from './verbs/scale.ts';
import { update } from './verbs/update.ts';

const main: Readonly<Record<string, Answering>> = {
  get,
  list,
  create,
  update,
  patch,
  delete: remove,
  deletecollection: removeCollection,
};

const subresources: Readonly<Record<string, Readonly<Record<string, Answering>>>> = {
  status: {
    get,
    update: (context, call) => update(context, call, 'status'),
    patch: (context, call) => patch(context, call, 'status'),
  },
  scale: { get: getScale, update: updateScale, patch: patchScale },
  finalize: { update: (context, call) => update(context, call, 'finalize') },
  token: { create: requestToken },
};

/** NotFound for a subresource that the resource does not have, MethodNotAllowed for a verb that does not go with it. */
export function handlerOf(call: Call, verb: string): Answering {
  const { resource, path } = call;
  const { subresource } = path;
  if (subresource !== undefined && !has(call, subresource)) throw notFound(resource, `${path.name}/${subresource}`);
  const table = subresource === undefined ? mainTable(call) : subresources[subresource]!;
  const served = subresource !== undefined || resource.verbs.some((known) => known === verb);
  // A PUT or PATCH without a name is a mistake of the caller, which the verb explains better.
  const handler = served && Object.hasOwn(table, verb) ? table[verb] : undefined;
  if (!handler)
    throw new ApiError('MethodNotAllowed', `${call.method} is not supported on resources of kind "${resource.plural}"`);
  return handler;
}

function mainTable({ resource: { answer } }: Call): Readonly<Record<string, Answering>> {
  return answer ? { create: answer } : main;
}

function has({ resource }: Call, subresource: string): boolean {
  switch (subresource) {
    case 'status':
      return resource.status;
    case 'scale':
      return resource.scale !== undefined;
    case 'finalize':
      return resource.finalize === true;
    case 'token':
      return isServiceAccount(resource);
    default:
      return false;
  }
}
