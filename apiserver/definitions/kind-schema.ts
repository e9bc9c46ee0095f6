/** The schema of CustomResourceDefinitions. What is below openAPIV3Schema nests without end, so it is checked by structural.ts. */
import { kindSchema, list, object, text } from '#apiserver/resources/builtin-schemas.ts';
import type { Schema } from '#apiserver/schema/schema.ts';

const flag = (description: string): Schema => ({ type: 'boolean', description });
const texts = (description: string): Schema => list(description, { type: 'string' });

const names = (required: readonly string[]) =>
  object(
    'How the kind is called.',
    {
      plural: text('In paths: /apis/GROUP/VERSION/PLURAL. Cannot be changed.'),
      singular: text('What people type for one of them; the kind in lower case unless told.'),
      kind: text('In objects: CamelCase and singular.'),
      listKind: text('Kind of a list; KIND followed by List unless told.'),
      shortNames: texts('What people type when in a hurry.'),
      categories: texts('Groups of kinds that it belongs to, such as all: kubectl get all.'),
    },
    required,
  );

const columnTypes = ['integer', 'number', 'string', 'boolean', 'date'];

const column = object(
  'One column of kubectl get.',
  {
    name: text('Its heading.'),
    type: { ...text('How the value is printed.'), enum: columnTypes },
    format: text('A format of OpenAPI, for clients.'),
    description: text('For people.'),
    jsonPath: text('Where the value stands in the object.'),
    priority: {
      type: 'integer',
      format: 'int32',
      description: 'Columns above 0 are shown only by kubectl get -o wide.',
    },
  },
  ['name', 'type', 'jsonPath'],
);

const scale = object(
  'The scale subresource, for kubectl scale and autoscalers.',
  {
    specReplicasPath: text('The field of the wanted number, below .spec.'),
    statusReplicasPath: text('The field of the actual number, below .status.'),
    labelSelectorPath: text('The field of a selector of what is counted, below .status or .spec.'),
  },
  ['specReplicasPath', 'statusReplicasPath'],
);

const version = object(
  'One version of the kind.',
  {
    name: text('Such as v1 or v1beta1.'),
    served: flag('Whether it can be asked for.'),
    storage: flag('Whether objects are stored in it: true for exactly one version.'),
    deprecated: flag('Whether using it is answered with a warning.'),
    deprecationWarning: text('The text of that warning.'),
    schema: object('What objects must look like.', {
      openAPIV3Schema: {
        type: 'object',
        description: 'A structural schema: prunes, fills in defaults and validates.',
        'x-kubernetes-preserve-unknown-fields': true,
      },
    }),
    subresources: object('Parts of an object with a path of their own.', {
      status: {
        type: 'object',
        description: 'Serve /status: then it is written apart from the rest.',
        'x-kubernetes-preserve-unknown-fields': true,
      },
      scale,
    }),
    additionalPrinterColumns: list('What kubectl get prints behind the name; the age unless told.', column),
    selectableFields: list(
      'Fields that field selectors may ask for.',
      object('One field.', { jsonPath: text('Where it stands.') }, ['jsonPath']),
    ),
  },
  ['name', 'served', 'storage'],
);

const condition = object(
  'One condition.',
  {
    type: text('NamesAccepted, Established or Terminating.'),
    status: { ...text('Whether it holds.'), enum: ['True', 'False', 'Unknown'] },
    lastTransitionTime: {
      type: 'string',
      format: 'date-time',
      description: 'When status last changed.',
      nullable: true,
    },
    reason: text('One CamelCase word.'),
    message: text('For people.'),
    observedGeneration: { type: 'integer', format: 'int64', description: 'The generation that it speaks of.' },
  },
  ['type', 'status'],
);

const spec = object(
  'What is defined.',
  {
    group: text('API group: a domain of yours, so that nobody else uses it. Cannot be changed.'),
    names: names(['plural', 'kind']),
    scope: { ...text('Whether objects live in a namespace.'), enum: ['Cluster', 'Namespaced'] },
    versions: list('All versions, of which one is stored.', version),
    conversion: {
      ...object(
        'How objects of one version become objects of another.',
        {
          strategy: { ...text('None changes the apiVersion and nothing else.'), enum: ['None', 'Webhook'] },
          webhook: {
            type: 'object',
            description: 'Not supported by this server.',
            'x-kubernetes-preserve-unknown-fields': true,
          },
        },
        ['strategy'],
      ),
      default: { strategy: 'None' },
    },
    preserveUnknownFields: flag('Must be false: say so in the schema, where it is wanted.'),
  },
  ['group', 'names', 'scope', 'versions'],
);

export const definitionSchema: Schema = kindSchema(
  'A kind that is served, with its schema and columns. Its name is PLURAL.GROUP.',
  {
    spec,
    status: object('What is observed.', {
      acceptedNames: names([]),
      conditions: {
        ...list('What holds of it.', condition),
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      },
      storedVersions: texts('Versions that objects may still be stored in.'),
    }),
  },
  ['spec'],
);
