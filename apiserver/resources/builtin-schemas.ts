/** Schemas of Kubernetes' own kinds, as far as they are served. Descriptions are what `kubectl explain` prints. */
import type { Schema } from '#apiserver/schema/schema.ts';

export const text = (description: string): Schema => ({ type: 'string', description });
export const integer = (description: string): Schema => ({ type: 'integer', description });
export const time = (description: string): Schema => ({ type: 'string', format: 'date-time', description });
const textMap = (description: string, item: Schema = { type: 'string' }): Schema => ({
  type: 'object',
  description,
  additionalProperties: item,
});
export const list = (description: string, items: Schema): Schema => ({ type: 'array', description, items });
export const object = (
  description: string,
  properties: Record<string, Schema>,
  required: readonly string[] = [],
): Schema => ({
  type: 'object',
  description,
  properties,
  ...(required.length > 0 ? { required } : {}),
});
const bytes: Schema = { type: 'string', format: 'byte' };

/** Every kind has these; metadata is typed by the server. */
export function kindSchema(
  description: string,
  properties: Record<string, Schema>,
  required: readonly string[] = [],
): Schema {
  return object(
    description,
    {
      apiVersion: text('Group and version of this representation.'),
      kind: text('Kind of this object.'),
      metadata: { type: 'object', description: 'Name, labels, owners and the like.' },
      ...properties,
    },
    required,
  );
}

const condition = object(
  'One condition.',
  {
    type: text('Name of the condition.'),
    status: text('True, False or Unknown.'),
    lastTransitionTime: time('When status last changed.'),
    reason: text('One CamelCase word.'),
    message: text('For people.'),
  },
  ['type', 'status'],
);

export const namespaceSchema = kindSchema('A scope for names.', {
  spec: object('How it is deleted.', {
    finalizers: {
      ...list('Who must finish before it goes away; written through the finalize subresource.', { type: 'string' }),
      'x-kubernetes-list-type': 'atomic',
    },
  }),
  status: object('What is observed.', {
    phase: { ...text('Active, or Terminating while its objects are being deleted.'), enum: ['Active', 'Terminating'] },
    conditions: {
      ...list('What holds of it.', condition),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'type',
    },
  }),
});

export const configMapSchema = kindSchema('Configuration as text.', {
  data: textMap('Values as text.'),
  binaryData: textMap('Values in base64.', bytes),
  immutable: { type: 'boolean', description: 'Refuse every change of data.' },
});

export const secretSchema = kindSchema('Values that are nobody else’s business.', {
  type: text('What programs may expect of the data. Opaque if empty.'),
  data: textMap('Values in base64.', bytes),
  stringData: textMap('Values as text, for writing: put into data by the server, never returned.'),
  immutable: { type: 'boolean', description: 'Refuse every change of data.' },
});

/** One value for server-side apply: owners do not share it. */
export const atomic = (schema: Schema): Schema => ({ ...schema, 'x-kubernetes-map-type': 'atomic' });

export const objectReference = (description: string): Schema =>
  atomic(
    object(description, {
      apiVersion: text('Its apiVersion.'),
      kind: text('Its kind.'),
      namespace: text('Its namespace.'),
      name: text('Its name.'),
      uid: text('Its uid.'),
      resourceVersion: text('Its resourceVersion at the time.'),
      fieldPath: text('The part of it.'),
    }),
  );

export const serviceAccountSchema = kindSchema('An identity for programs.', {
  secrets: {
    ...list('Secrets that belong to it.', objectReference('One secret.')),
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
    'x-kubernetes-patch-strategy': 'merge',
    'x-kubernetes-patch-merge-key': 'name',
  },
  imagePullSecrets: {
    ...list('Secrets for fetching images.', atomic(object('One secret.', { name: text('Its name.') }))),
    'x-kubernetes-list-type': 'atomic',
  },
  automountServiceAccountToken: { type: 'boolean', description: 'Whether programs are given a token without asking.' },
});

export const leaseSchema = kindSchema('Who holds something, and until when.', {
  spec: object('The lease.', {
    holderIdentity: text('Who holds it; empty if nobody.'),
    leaseDurationSeconds: integer('How long others must wait after renewTime.'),
    acquireTime: time('When the holder got it.'),
    renewTime: time('When the holder last renewed it.'),
    leaseTransitions: integer('How often the holder changed.'),
    strategy: text('How the next holder is chosen.'),
    preferredHolder: text('Who should hold it.'),
  }),
});
