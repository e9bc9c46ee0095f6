/**
 * Events: one kind, stored as v1 Event, that the core group and events.k8s.io both show, each under its own names of fields. Clients of
 * either see what clients of the other write.
 */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { builtin } from './builtin-kind.ts';
import { integer, kindSchema, object, objectReference, text, time } from './builtin-schemas.ts';
import { eventColumns } from './event-columns.ts';
import type { Resource, SelectableField } from './resource.ts';

/** Events are forgotten an hour after their last write, as in Kubernetes. */
const ttlSeconds = 3600;

/** Fields of the core group that have another name in events.k8s.io. */
const newNames: ReadonlyMap<string, string> = new Map([
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
]);
const oldNames: ReadonlyMap<string, string> = new Map([...newNames].map(([old, name]) => [name, old]));

/** What is missing is there, empty: the core group cannot do without. */
function toStored(event: JsonObject): JsonObject {
  return { involvedObject: {}, ...renamed(event, oldNames) };
}

function fromStored(stored: JsonObject): JsonObject {
  return renamed(stored, newNames);
}

function renamed(event: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [names.get(name) ?? name, value]));
}

const fields: Readonly<Record<string, Schema>> = {
  involvedObject: objectReference('The object that the event speaks of.'),
  related: objectReference('Another object that has to do with it.'),
  reason: text('One CamelCase word.'),
  message: text('For people.'),
  type: text('Normal or Warning.'),
  action: text('What was done.'),
  count: integer('How often it happened.'),
  firstTimestamp: time('First time.'),
  lastTimestamp: time('Last time.'),
  eventTime: time('When it was first observed.'),
  series: object('Repetitions.', { count: integer('How often.'), lastObservedTime: time('Last time.') }),
  source: object('Who reports.', { component: text('Program.'), host: text('Host.') }),
  reportingComponent: text('Controller that reports.'),
  reportingInstance: text('Its identity.'),
};

const description = 'Something that happened to an object. Forgotten after an hour.';
const newFields = Object.entries(fields).map(([name, schema]): [string, Schema] => [
  newNames.get(name) ?? name,
  schema,
]);

/** In this version, by the names of this version. */
function selectableFields(objectField: string, controllerField: string): SelectableField[] {
  const ofObject = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
  const paths = [...ofObject.map((name) => [objectField, name]), ['reason'], ['type'], [controllerField]];
  return paths.map((path) => ({ label: path.join('.'), path }));
}

export const coreEvents: Resource = builtin(
  '',
  {
    kind: 'Event',
    plural: 'events',
    schema: kindSchema(description, fields, ['involvedObject']),
    columns: eventColumns((event) => event),
  },
  {
    shortNames: ['ev'],
    ttlSeconds,
    selectableFields: [
      ...selectableFields('involvedObject', 'reportingComponent'),
      { label: 'source', path: ['source', 'component'] },
    ],
  },
);

export const events: Resource = builtin(
  'events.k8s.io',
  {
    kind: 'Event',
    plural: 'events',
    schema: kindSchema(description, Object.fromEntries(newFields)),
    columns: eventColumns(toStored),
  },
  {
    shortNames: ['ev'],
    ttlSeconds,
    selectableFields: selectableFields('regarding', 'reportingController'),
    view: { of: coreEvents, fromStored, toStored },
  },
);
