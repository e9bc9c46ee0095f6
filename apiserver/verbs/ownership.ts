/** metadata.managedFields of what is written: the objects and resources of the server put before apply/, which knows neither. */
import { type Managers, readManagers, writeManagers } from '#apiserver/apply/managers.ts';
import { objectType } from '#apiserver/apply/type.ts';
import { update } from '#apiserver/apply/update.ts';
import type { Reach } from '#apiserver/apply/visible.ts';
import type { Types, Writer } from '#apiserver/apply/writer.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject, ManagedFieldsEntry, StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { WriteOptions } from './options.ts';
import type { ServerContext } from './server-context.ts';
import type { Part } from './settle.ts';

export interface Author {
  readonly manager: string;
  /** RFC 3339, whole seconds. */
  readonly time: string;
}

/** Who writes, at this moment. */
export function authorOf({ clock }: Pick<ServerContext, 'clock'>, { manager }: Pick<WriteOptions, 'manager'>): Author {
  return { manager, time: timestamp(clock.now()) };
}

/** What is written, and by whom. */
export interface Writing {
  readonly resource: Resource;
  readonly part: Part;
  readonly author: Author;
}

/**
 * The object after a write that is no apply, with the writer as owner of what has changed. `old` is undefined for a new object. What is
 * not tracked stays so until the first apply, and `managedFields: [{}]` ends the tracking.
 */
export function recordUpdate(old: StoredObject | undefined, next: ApiObject, writing: Writing): ApiObject {
  const sent = writing.part === 'main' ? next.metadata.managedFields : undefined;
  const managers = sent && isReset(sent) ? noManagers : (told(sent) ?? told(old?.metadata.managedFields) ?? noManagers);
  if (old && managers.size === 0) return withManagers(next, managers);
  const before = old ? untracked(old) : {};
  const after = update(before, untracked(next), managers, writerOf(writing, 'Update'), typesOf(writing.resource));
  return withManagers(next, after);
}

const noManagers: Managers = new Map();

function isReset([entry, ...more]: readonly ManagedFieldsEntry[]): boolean {
  return entry !== undefined && more.length === 0 && Object.keys(entry).length === 0;
}

/** What cannot be understood, and what says nothing, is as if it had not been sent: clients that know nothing of it must not lose it. */
function told(entries: readonly ManagedFieldsEntry[] | undefined): Managers | undefined {
  const managers = entries && readManagers(entries);
  return managers && managers.size > 0 ? managers : undefined;
}

export function managersOf(object: ApiObject): Managers {
  return told(object.metadata.managedFields) ?? noManagers;
}

export function untracked(object: ApiObject): JsonObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

export function withManagers(object: ApiObject, managers: Managers): ApiObject {
  const { managedFields: _, ...metadata } = object.metadata;
  const managedFields = writeManagers(managers);
  return { ...object, metadata: managedFields.length === 0 ? metadata : { ...metadata, managedFields } };
}

export function writerOf({ resource, part, author }: Writing, operation: Writer['operation']): Writer {
  return {
    name: author.manager,
    operation,
    apiVersion: apiVersionOf(resource),
    subresource: part === 'main' ? '' : part,
    time: author.time,
    reach: reachOf(resource, part),
  };
}

/** What settle() keeps as it is, whatever is sent, can be owned by nobody who sends it. */
function reachOf(resource: Resource, part: Part): Reach {
  switch (part) {
    case 'status':
      return { type: 'only', name: 'status' };
    case 'finalize':
      return { type: 'only', name: 'spec' };
    default:
      return resource.status ? { type: 'but', name: 'status' } : { type: 'all' };
  }
}

export function typesOf({ group, schemas }: Resource): Types {
  return (apiVersion) => {
    const [version = '', ofGroup = ''] = apiVersion.split('/').reverse();
    const schema = ofGroup === group ? schemas.get(version) : undefined;
    return schema && objectType(schema);
  };
}
