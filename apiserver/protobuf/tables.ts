/** All messages that are known, and which kind is which message. */
import { foldedMessages } from './folded.ts';
import { type MessageType, readTables } from './message-type.ts';
import { crdMessages } from './tables-crd.ts';
import { kindMessages } from './tables-kinds.ts';
import { metaMessages } from './tables-meta.ts';

const scalars = new Set(['string', 'bytes', 'bool', 'int', 'double']);

export function isScalar(type: string): boolean {
  return scalars.has(type);
}

const types = readTables(foldedMessages, metaMessages, kindMessages, crdMessages);

for (const [name, { fields }] of types)
  for (const { type } of fields)
    if (!isScalar(type) && !types.has(type))
      throw new RangeError(`Message ${name} has a field of the unknown type ${type}`);

/** RangeError for a name that no table has. */
export function typeOf(name: string): MessageType {
  const type = types.get(name);
  if (!type) throw new RangeError(`There is no message ${name}`);
  return type;
}

/** The kinds that may come as a body, by the version of their group. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  v1: ['Namespace', 'ConfigMap', 'Secret', 'ServiceAccount', 'Event', 'Status'],
  'events.k8s.io/v1': ['Event'],
  'coordination.k8s.io/v1': ['Lease'],
  'authorization.k8s.io/v1': [
    'SelfSubjectAccessReview',
    'SelfSubjectRulesReview',
    'SubjectAccessReview',
    'LocalSubjectAccessReview',
  ],
  'authentication.k8s.io/v1': ['SelfSubjectReview', 'TokenReview', 'TokenRequest'],
  'rbac.authorization.k8s.io/v1': ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding'],
  'autoscaling/v1': ['Scale'],
  'apiextensions.k8s.io/v1': ['CustomResourceDefinition'],
};

/** Every kind that comes as protobuf, and its message. */
export const bodyKinds: readonly { readonly apiVersion: string; readonly kind: string; readonly message: string }[] =
  Object.entries(kinds).flatMap(([apiVersion, names]) =>
    names.map((kind) => ({ apiVersion, kind, message: apiVersion === 'events.k8s.io/v1' ? `Events${kind}` : kind })),
  );

/** The message of a kind, or undefined if it is none that comes as protobuf. Every group has DeleteOptions, and all are the same. */
export function messageOf(apiVersion: string, kind: string): string | undefined {
  if (kind === 'DeleteOptions') return kind;
  return bodyKinds.find((known) => known.kind === kind && known.apiVersion === apiVersion)?.message;
}
