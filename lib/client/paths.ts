import { apiVersionOf, type Kind } from '#lib/api/meta.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { ObjectName } from './client.ts';

/** URL path of all objects of a kind, everywhere or in one namespace. */
export function collectionPath(kind: Kind, namespace?: string): string {
  const root = kind.group === '' ? '/api' : '/apis';
  const inside = kind.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}/${apiVersionOf(kind)}${inside}/${kind.plural}`;
}

/** URL path of one object, or of a subresource of it. Throws BadRequest if the namespace is missing. */
export function objectPath(kind: Kind, at: ObjectName, subresource?: string): string {
  const path = `${collectionPath(kind, namespaceOf(kind, at.namespace))}/${encodeURIComponent(at.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** URL path to create in. Throws BadRequest if the namespace is missing. */
export function creationPath(kind: Kind, namespace: string | undefined): string {
  return collectionPath(kind, namespaceOf(kind, namespace));
}

function namespaceOf(kind: Kind, namespace: string | undefined): string | undefined {
  if (!kind.namespaced || namespace !== undefined) return namespace;
  throw new ApiError('BadRequest', `Cannot name one ${kind.kind} without its namespace`);
}
