import type { JsonObject } from '#apiserver/json/json.ts';

export const objectMetaName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const ownerReferenceName = 'io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference';

const text = (description: string): JsonObject => ({ type: 'string', description });
const time = (description: string): JsonObject => ({ type: 'string', format: 'date-time', description });
const map = (description: string): JsonObject => ({
  type: 'object',
  description,
  additionalProperties: { type: 'string', default: '' },
});

/** metadata of every kind, for `kubectl explain` and validation by clients. */
export const metaSchemas: JsonObject = {
  [objectMetaName]: {
    type: 'object',
    description: 'What every object has.',
    properties: {
      name: text('Unique among the objects of a kind in a namespace. Cannot be changed.'),
      generateName: text('The server makes a name from this by adding five letters, if name is empty.'),
      namespace: text('The scope of the name. Cannot be changed.'),
      labels: map('Keys and values to select by.'),
      annotations: map('Keys and values that are only kept.'),
      finalizers: {
        type: 'array',
        description: 'Who must finish before a deleted object goes away.',
        items: { type: 'string', default: '' },
        'x-kubernetes-list-type': 'set',
        'x-kubernetes-patch-strategy': 'merge',
      },
      ownerReferences: {
        type: 'array',
        description: 'The objects that this one depends on; when all are gone, it goes too.',
        items: { allOf: [{ $ref: `#/components/schemas/${ownerReferenceName}` }], default: {} },
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['uid'],
        'x-kubernetes-patch-merge-key': 'uid',
        'x-kubernetes-patch-strategy': 'merge',
      },
      uid: text('Unique for ever. Set by the server.'),
      resourceVersion: text('Of which moment this is. Send it back to be refused if somebody else was faster.'),
      generation: {
        type: 'integer',
        format: 'int64',
        description: 'Counts the changes of what is wanted. Set by the server.',
      },
      creationTimestamp: time('When it was created. Set by the server.'),
      deletionTimestamp: time('When its deletion began. Set by the server.'),
      deletionGracePeriodSeconds: { type: 'integer', format: 'int64', description: 'Set by the server.' },
      selfLink: text('Not used any more.'),
      managedFields: {
        type: 'array',
        description: 'Who set which field.',
        items: { type: 'object' },
        'x-kubernetes-list-type': 'atomic',
      },
    },
  },
  [ownerReferenceName]: {
    type: 'object',
    description: 'An object that this one depends on.',
    required: ['apiVersion', 'kind', 'name', 'uid'],
    properties: {
      apiVersion: text('Its apiVersion.'),
      kind: text('Its kind.'),
      name: text('Its name.'),
      uid: text('Its uid.'),
      controller: { type: 'boolean', description: 'Whether it is the one that made this object.' },
      blockOwnerDeletion: {
        type: 'boolean',
        description: 'Whether it waits for this object when it is deleted in the foreground.',
      },
    },
  },
};
