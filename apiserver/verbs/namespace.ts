import { forbiddenObject, notFound } from '#apiserver/http/status.ts';
import { type ApiObject, isDeleting } from '#apiserver/json/object.ts';
import { namespaces } from '#apiserver/resources/builtin.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import type { Store } from '#apiserver/store/store.ts';

/**
 * NotFound if the namespace is not there; Forbidden if it is going away, or it could never be emptied. As Kubernetes' NamespaceLifecycle, always
 * against the newest state.
 */
export async function requireActiveNamespace(
  store: Store,
  resource: Resource,
  object: ApiObject,
  namespace: string,
): Promise<void> {
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
