/** The table of events, as Kubernetes prints it (printers/internalversion): what was last seen comes first, the name last. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { formatAge } from '#lib/api/duration.ts';
import type { DrawnColumn } from './resource.ts';

/** `toCore` gives an event the names of fields of the core group. */
export function eventColumns(toCore: (event: JsonObject) => JsonObject): readonly DrawnColumn[] {
  const column = (
    name: string,
    description: string,
    draw: (event: JsonObject, nowMs: number) => Json,
    more: Partial<DrawnColumn> = {},
  ): DrawnColumn => ({
    name,
    description,
    type: 'string',
    ...more,
    draw: (event, nowMs) => draw(toCore(event), nowMs),
  });
  const wide = { priority: 1 };
  return [
    column('Last Seen', 'When it last happened.', (event, nowMs) => ago(lastSeen(event), nowMs)),
    column('Type', 'Normal or Warning.', (event) => text(event, 'type')),
    column('Reason', 'One CamelCase word.', (event) => text(event, 'reason')),
    column('Object', 'The object that the event speaks of.', targetOf),
    column('Subobject', 'The part of it.', (event) => text(member(event, 'involvedObject'), 'fieldPath'), wide),
    column('Source', 'Who reports.', sourceOf, wide),
    column('Message', 'For people.', (event) => text(event, 'message').trim()),
    column('First Seen', 'When it first happened.', (event, nowMs) => ago(firstSeen(event), nowMs), wide),
    column('Count', 'How often it happened.', countOf, { ...wide, type: 'integer' }),
    column('Name', 'Name of the event.', (event) => text(member(event, 'metadata'), 'name'), {
      ...wide,
      format: 'name',
    }),
  ];
}

function member(object: JsonObject, name: string): JsonObject {
  const value = at(object, name);
  return isObject(value) ? value : {};
}

function text(object: JsonObject, name: string): string {
  return String(at(object, name) ?? '');
}

function firstSeen(event: JsonObject): string {
  return text(event, 'firstTimestamp') || text(event, 'eventTime');
}

function lastSeen(event: JsonObject): string {
  const series = at(event, 'series');
  return isObject(series) ? text(series, 'lastObservedTime') : text(event, 'lastTimestamp') || firstSeen(event);
}

function ago(time: string, nowMs: number): string {
  const at = Date.parse(time);
  return Number.isNaN(at) ? '<unknown>' : formatAge(nowMs - at);
}

function targetOf(event: JsonObject): string {
  const object = member(event, 'involvedObject');
  const kind = text(object, 'kind').toLowerCase();
  const name = text(object, 'name');
  return name === '' ? kind : `${kind}/${name}`;
}

function sourceOf(event: JsonObject): string {
  const source = member(event, 'source');
  const component = text(source, 'component') || text(event, 'reportingComponent');
  const instance = text(source, 'host') || text(event, 'reportingInstance');
  return instance === '' ? component : `${component}, ${instance}`;
}

/** One that reports of nothing but itself says no figure. */
function countOf(event: JsonObject): Json {
  const series = at(event, 'series');
  return (isObject(series) ? at(series, 'count') : at(event, 'count')) || 1;
}
