/** Reads of other objects for rules that look beyond their own. */
import { type ApiObject, isDeleting } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { keyOf, prefixOf } from '#apiserver/storage/keys.ts';
import type { KeyValue } from '#apiserver/store/store.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { group } from '#lib/api/names.ts';

export type Place = Pick<Resource, 'group' | 'plural'>;

/** One of the project's own kinds. */
export const ours = (plural: string): Place => ({ group, plural });

/** The object as it is stored, without defaults of a later schema; undefined if it is not there. */
export async function lookUp<T extends ApiObject = ApiObject>(
  { store }: ServerContext,
  place: Place,
  namespace: string | undefined,
  name: string,
): Promise<T | undefined> {
  const { kv } = await store.get(keyOf(place, namespace, name));
  return kv && read<T>(kv);
}

/** The same for rules that may go by what was so a moment ago: the store is asked only for what is not known. */
export async function lookUpRecent(
  context: ServerContext,
  place: Place,
  namespace: string | undefined,
  name: string,
): Promise<ApiObject | undefined> {
  return context.caches.peek(place, namespace, name) ?? (await lookUp(context, place, namespace, name));
}

/** All of a namespace, or of all of them: for rules that are asked seldom. */
export async function lookUpAll<T extends ApiObject = ApiObject>(
  { store }: ServerContext,
  place: Place,
  namespace: string | undefined,
): Promise<T[]> {
  const { kvs } = await store.list(prefixOf(place, namespace));
  return kvs.map((kv) => read<T>(kv));
}

function read<T>({ value }: KeyValue): T {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')) as T;
}

/** What keeps it from being used; undefined if nothing does. */
export function unusable(object: ApiObject | undefined): string | undefined {
  if (!object) return 'does not exist';
  return isDeleting(object) ? 'is being deleted' : undefined;
}
