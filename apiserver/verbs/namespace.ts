import { forbiddenObject, notFound } from '#apiserver/http/status.ts';
import { type ApiObject, isDeleting } from '#apiserver/json/object.ts';
import { namespaces } from '#apiserver/resources/builtin.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { keyOf } from '#apiserver/storage/keys.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import type { Store } from '#apiserver/store/store.ts';
import type { ServerContext } from './server-context.ts';

/**
 * NotFound if the namespace is not there; Forbidden if it is going away, or it could never be emptied. As Kubernetes' NamespaceLifecycle:
 * the cache's word that it is there and stays is enough, which spares a read per create; anything else is looked up in the store. What is
 * created while the news of a deletion is on its way is found by the namespace controller, which lists until nothing is left.
 */
export async function requireActiveNamespace(
  { caches, store }: ServerContext,
  resource: Resource,
  object: ApiObject,
  namespace: string,
): Promise<void> {
  const cached = caches.of(namespaces).get(keyOf(namespaces, undefined, namespace))?.object;
  if (cached && !isDeleting(cached)) return;
  const found = await readNamespace(store, namespace);
  if (!isDeleting(found)) return;
  const name = object.metadata.name ?? object.metadata.generateName ?? '';
  throw forbiddenObject(
    resource,
    name,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
    [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  );
}

async function readNamespace(store: Store, name: string): Promise<ApiObject> {
  if (name === '') throw notFound(namespaces, name);
  return await readObject(store, { resource: namespaces, namespace: undefined, name });
}
