/** What documents of every group share: the types of apimachinery, for `kubectl explain` and for validation by clients. */
import type { JsonObject } from '#apiserver/json/json.ts';

const machinery = 'io.k8s.apimachinery.pkg.apis.meta.v1';
export const objectMetaName = `${machinery}.ObjectMeta`;
export const listMetaName = `${machinery}.ListMeta`;
export const statusName = `${machinery}.Status`;
export const deleteOptionsName = `${machinery}.DeleteOptions`;
export const patchName = `${machinery}.Patch`;
export const scaleName = 'io.k8s.api.autoscaling.v1.Scale';

export function ref(name: string): JsonObject {
  return { $ref: `#/components/schemas/${name}` };
}

/** A reference with words of its own: beside $ref nothing else counts. */
export function described(name: string, description: string): JsonObject {
  return { description, allOf: [ref(name)] };
}

const text = (description: string): JsonObject => ({ type: 'string', description });
const flag = (description: string): JsonObject => ({ type: 'boolean', description });
const int = (description: string, format = 'int64'): JsonObject => ({ type: 'integer', format, description });
const time = (description: string): JsonObject => ({ type: 'string', format: 'date-time', description });
const texts = (description: string): JsonObject => ({
  type: 'array',
  description,
  items: { type: 'string', default: '' },
});
const map = (description: string): JsonObject => ({
  type: 'object',
  description,
  additionalProperties: { type: 'string', default: '' },
});
const list = (description: string, name: string): JsonObject => ({
  type: 'array',
  description,
  items: { allOf: [ref(name)], default: {} },
});
const object = (description: string, properties: JsonObject, required: string[] = []): JsonObject => ({
  type: 'object',
  description,
  properties,
  ...(required.length > 0 ? { required } : {}),
});

export const typeFields: JsonObject = {
  apiVersion: text('Group and version of this representation.'),
  kind: text('Kind of this object.'),
};

export const metaSchemas: JsonObject = {
  [objectMetaName]: object('What every object has.', {
    name: text('Unique among the objects of a kind in a namespace. Cannot be changed.'),
    generateName: text('The server makes a name from this by adding five letters, if name is empty.'),
    namespace: text('The scope of the name. Cannot be changed.'),
    labels: map('Keys and values to select by.'),
    annotations: map('Keys and values that are only kept.'),
    finalizers: {
      ...texts('Who must finish before a deleted object goes away.'),
      'x-kubernetes-list-type': 'set',
      'x-kubernetes-patch-strategy': 'merge',
    },
    ownerReferences: {
      ...list('The objects that this one depends on; when all are gone, it goes too.', `${machinery}.OwnerReference`),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
      'x-kubernetes-patch-merge-key': 'uid',
      'x-kubernetes-patch-strategy': 'merge',
    },
    uid: text('Unique for ever. Set by the server.'),
    resourceVersion: text('Of which moment this is. Send it back to be refused if somebody else was faster.'),
    generation: int('Counts the changes of what is wanted. Set by the server.'),
    creationTimestamp: time('When it was created. Set by the server.'),
    deletionTimestamp: time('When its deletion began. Set by the server.'),
    deletionGracePeriodSeconds: int('Set by the server.'),
    selfLink: text('Not used any more.'),
    managedFields: {
      ...list('Who set which field.', `${machinery}.ManagedFieldsEntry`),
      'x-kubernetes-list-type': 'atomic',
    },
  }),
  [`${machinery}.OwnerReference`]: {
    ...object(
      'An object that this one depends on.',
      {
        apiVersion: text('Its apiVersion.'),
        kind: text('Its kind.'),
        name: text('Its name.'),
        uid: text('Its uid.'),
        controller: flag('Whether it is the one that made this object.'),
        blockOwnerDeletion: flag('Whether it waits for this object when it is deleted in the foreground.'),
      },
      ['apiVersion', 'kind', 'name', 'uid'],
    ),
    'x-kubernetes-map-type': 'atomic',
  },
  [`${machinery}.ManagedFieldsEntry`]: object('The fields that one manager has set.', {
    manager: text('Its name.'),
    operation: text('Apply or Update.'),
    apiVersion: text('The version that fieldsV1 speaks of.'),
    time: time('When it last set one.'),
    fieldsType: text('FieldsV1.'),
    fieldsV1: { type: 'object', description: 'The fields as a tree.' },
    subresource: text('By which subresource they were set.'),
  }),
  [listMetaName]: object('What every list has.', {
    resourceVersion: text('Of which moment this is.'),
    continue: text('Ask for the next page with it; empty on the last one.'),
    remainingItemCount: int('How many objects come behind this page, where that is known.'),
    selfLink: text('Not used any more.'),
  }),
  [statusName]: {
    ...object('What became of a request.', {
      ...typeFields,
      metadata: { allOf: [ref(listMetaName)], default: {}, description: 'Empty, but for lists that have expired.' },
      status: text('Success or Failure.'),
      message: text('For people.'),
      reason: text('One CamelCase word, for programs.'),
      details: described(`${machinery}.StatusDetails`, 'Which object, and why.'),
      code: int('The HTTP status.', 'int32'),
    }),
    'x-kubernetes-group-version-kind': [{ group: '', version: 'v1', kind: 'Status' }],
  },
  [`${machinery}.StatusDetails`]: object('Which object, and why.', {
    name: text('Its name.'),
    group: text('Its group.'),
    kind: text('Its kind or resource.'),
    uid: text('Its uid.'),
    causes: { ...list('All reasons.', `${machinery}.StatusCause`), 'x-kubernetes-list-type': 'atomic' },
    retryAfterSeconds: int('Try again after so many seconds.', 'int32'),
  }),
  [`${machinery}.StatusCause`]: object('One reason.', {
    reason: text('One CamelCase word.'),
    message: text('For people.'),
    field: text('The field that it speaks of.'),
  }),
  [deleteOptionsName]: {
    ...object('How to delete.', {
      ...typeFields,
      gracePeriodSeconds: int('How long the object may take.'),
      preconditions: described(`${machinery}.Preconditions`, 'Delete only if they hold.'),
      orphanDependents: flag('Older form of propagationPolicy.'),
      propagationPolicy: text('What becomes of dependents: Background, Foreground or Orphan.'),
      dryRun: { ...texts('All: do everything but delete.'), 'x-kubernetes-list-type': 'atomic' },
    }),
    'x-kubernetes-group-version-kind': [{ group: '', version: 'v1', kind: 'DeleteOptions' }],
  },
  [`${machinery}.Preconditions`]: object('What must hold.', {
    uid: text('The uid of the object.'),
    resourceVersion: text('Its resourceVersion.'),
  }),
  [patchName]: { type: 'object', description: 'A change of an object, in the form that the content type says.' },
};

export const scaleSchemas: JsonObject = {
  [scaleName]: {
    ...object('How many there are and should be.', {
      ...typeFields,
      metadata: { ...described(objectMetaName, 'That of the scaled object.'), default: {} },
      spec: { ...described('io.k8s.api.autoscaling.v1.ScaleSpec', 'What is wanted.'), default: {} },
      status: { ...described('io.k8s.api.autoscaling.v1.ScaleStatus', 'What is observed.'), default: {} },
    }),
    'x-kubernetes-group-version-kind': [{ group: 'autoscaling', version: 'v1', kind: 'Scale' }],
  },
  'io.k8s.api.autoscaling.v1.ScaleSpec': object('What is wanted.', { replicas: int('How many.', 'int32') }),
  'io.k8s.api.autoscaling.v1.ScaleStatus': object(
    'What is observed.',
    { replicas: int('How many there are.', 'int32'), selector: text('A label selector of them.') },
    ['replicas'],
  ),
};
