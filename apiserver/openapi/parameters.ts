/** Parameters of requests, as documents name them. */
import type { JsonObject } from '#apiserver/json/json.ts';

function query(name: string, description: string, type = 'string'): JsonObject {
  return { name, in: 'query', description, schema: { type, uniqueItems: true } };
}

function path(name: string, description: string): JsonObject {
  return { name, in: 'path', description, required: true, schema: { type: 'string', uniqueItems: true } };
}

export const pretty = query('pretty', 'Accepted and ignored: answers are not indented.');
export const nameParameter = path('name', 'Name of the object.');
export const namespaceParameter = path('namespace', 'Namespace of the object.');

export const readParameters: JsonObject[] = [
  query('resourceVersion', 'The answer must not be older. 0: whatever is at hand.'),
];

export const collectionParameters: JsonObject[] = [
  query('allowWatchBookmarks', 'Send BOOKMARK events now and then, which say how far the watch is.', 'boolean'),
  query('continue', 'Where the last page ended.'),
  query('fieldSelector', 'Only objects with these values in fields: metadata.name and those that the kind names.'),
  query('labelSelector', 'Only objects with these labels.'),
  query('limit', 'So many objects per page.', 'integer'),
  query('resourceVersion', 'The moment to list or to watch from.'),
  query('resourceVersionMatch', 'How resourceVersion is meant: Exact or NotOlderThan.'),
  query('sendInitialEvents', 'Begin the watch with what is there, and say when that is over.', 'boolean'),
  query('timeoutSeconds', 'End the watch after so many seconds.', 'integer'),
  query('watch', 'Go on with every change.', 'boolean'),
];

const dryRun = query('dryRun', 'All: do everything but write.');

/** By these kubectl decides what it may ask for: without dryRun it refuses to diff, with fieldValidation it leaves validation to us. */
export const writeParameters: JsonObject[] = [
  dryRun,
  query('fieldManager', 'Who makes the change, for managedFields.'),
  query('fieldValidation', 'What becomes of unknown and duplicate fields: Ignore, Warn or Strict.'),
];

export const patchParameters: JsonObject[] = [
  ...writeParameters,
  query('force', 'Take fields over that others manage: for apply patches.', 'boolean'),
];

export const deleteParameters: JsonObject[] = [
  dryRun,
  query('gracePeriodSeconds', 'How long the object may take.', 'integer'),
  query('orphanDependents', 'Older form of propagationPolicy.', 'boolean'),
  query('propagationPolicy', 'What becomes of dependents: Background, Foreground or Orphan.'),
];
