/**
 * Rules of Events (kubernetes, pkg/apis/core/validation/events.go). Those of the core group are old and lenient: only who gives eventTime is
 * held to what events.k8s.io asks for, where nothing but the series may change later.
 */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { invalid, required } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import type { Rules } from './rules.ts';

export const coreEventRules: Rules = {
  check: (event) => [
    ...checkPlace(event, 'involvedObject'),
    ...(at(event, 'eventTime') ? checkReporter(event, 'reportingComponent', 'message') : []),
  ],
};

export const eventRules: Rules = {
  check: (event, old) => [
    ...checkPlace(event, 'regarding'),
    ...(old
      ? checkUnchanged(event, old)
      : [
          ...(at(event, 'eventTime') ? [] : [required('eventTime')]),
          ...checkReporter(event, 'reportingController', 'note'),
          ...checkType(event),
        ]),
    ...checkSeries(event, old),
  ],
};

/** An event is kept beside the object that it speaks of; those of the whole cluster have theirs in the default namespace. */
function checkPlace(event: ApiObject, field: string): Cause[] {
  const object = at(event, field);
  const namespace = isObject(object) ? text(object, 'namespace') : '';
  const here = event.metadata.namespace ?? '';
  const allowed = namespace === '' ? ['', 'default', ...(at(event, 'eventTime') ? ['kube-system'] : [])] : [namespace];
  const right = allowed.includes(here) || (namespace !== '' && at(event, 'eventTime') !== undefined);
  return right ? [] : [invalid(`${field}.namespace`, namespace, 'does not match event.namespace')];
}

const maxName = 128;
const maxNote = 1024;

function checkReporter(event: ApiObject, controller: string, note: string): Cause[] {
  const causes = [controller, 'reportingInstance', 'action', 'reason']
    .filter((field) => text(event, field) === '')
    .map((field) => required(field));
  if (text(event, controller) !== '' && !isQualified(text(event, controller)))
    causes.push(
      invalid(controller, text(event, controller), 'must be a qualified name such as example.com/controller'),
    );
  for (const field of ['reportingInstance', 'action', 'reason'])
    if (text(event, field).length > maxName) causes.push(invalid(field, '', `can have at most ${maxName} characters`));
  if (text(event, note).length > maxNote) causes.push(invalid(note, '', `can have at most ${maxNote} characters`));
  return causes;
}

function checkType(event: ApiObject): Cause[] {
  const type = text(event, 'type');
  return type === 'Normal' || type === 'Warning'
    ? []
    : [invalid('type', type, 'has invalid value: it is Normal or Warning')];
}

function checkSeries(event: ApiObject, old: StoredObject | undefined): Cause[] {
  const series = at(event, 'series');
  if (!isObject(series) || (old && sameJson(series, at(old, 'series')))) return [];
  const count = Number(at(series, 'count') ?? 0);
  return [
    ...(count < 2 ? [invalid('series.count', count, 'should be at least 2')] : []),
    ...(at(series, 'lastObservedTime') ? [] : [required('series.lastObservedTime')]),
  ];
}

const fixed = [
  'regarding',
  'reason',
  'note',
  'deprecatedSource',
  'deprecatedFirstTimestamp',
  'deprecatedLastTimestamp',
  'deprecatedCount',
  'type',
  'eventTime',
  'related',
  'action',
  'reportingController',
  'reportingInstance',
];

function checkUnchanged(event: ApiObject, old: StoredObject): Cause[] {
  const changed = fixed.filter((field) => !sameJson(at(event, field), at(old, field)));
  return changed.map((field) => invalid(field, shown(at(event, field)), 'field is immutable'));
}

function shown(value: Json | undefined): Json | undefined {
  return typeof value === 'object' ? null : value;
}

function text(object: JsonObject, field: string): string {
  const value = at(object, field);
  return typeof value === 'string' ? value : '';
}

function isQualified(name: string): boolean {
  return /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(name);
}
