/** metadata.managedFields as data: who owns what, by manager. */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { ManagedFieldsEntry } from '#apiserver/json/object.ts';
import { type FieldSet, isNothing } from './field-set.ts';
import { readFieldsV1, writeFieldsV1 } from './fields-v1.ts';

export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  /** Of the object when the set was made: paths may mean something else in another version. */
  readonly apiVersion: string;
  /** Empty for the object itself. */
  readonly subresource: string;
  /** RFC 3339; undefined if all that was ever done is to agree with what was there. */
  readonly time: string | undefined;
  readonly fields: FieldSet;
}

/** The same manager if the fields are the same: what has not changed need not be written anew. */
export function withFields(manager: Manager, fields: FieldSet): Manager {
  return manager.fields === fields ? manager : { ...manager, fields };
}

/** What a manager was read from. */
const entriesRead = new WeakMap<Manager, ManagedFieldsEntry>();

/** By identity. Never changed in place. */
export type Managers = ReadonlyMap<string, Manager>;

/** Who applies is one manager in whatever version; who updates is another one per version. */
export function identityOf({ name, operation, apiVersion, subresource }: Omit<Manager, 'time' | 'fields'>): string {
  return JSON.stringify([name, operation, operation === 'Apply' ? '' : apiVersion, subresource]);
}

/** undefined if any entry cannot be understood: then nothing that is said can be relied on. */
export function readManagers(entries: readonly ManagedFieldsEntry[]): Managers | undefined {
  const managers = new Map<string, Manager>();
  for (const entry of entries) {
    const manager = readManager(entry);
    if (!manager) return undefined;
    entriesRead.set(manager, entry);
    managers.set(identityOf(manager), manager);
  }
  return managers;
}

function readManager(entry: ManagedFieldsEntry): Manager | undefined {
  const { manager: name = '', operation, apiVersion, subresource = '', time, fieldsType, fieldsV1 } = entry;
  if (operation !== 'Apply' && operation !== 'Update') return undefined;
  if (!apiVersion || fieldsType !== 'FieldsV1') return undefined;
  const fields = tryRead(fieldsV1 ?? {});
  return fields && { name, operation, apiVersion, subresource, time, fields };
}

function tryRead(json: JsonObject): FieldSet | undefined {
  try {
    return readFieldsV1(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** In Kubernetes' order: those who apply first, then by second, name and version. */
export function writeManagers(managers: Managers): ManagedFieldsEntry[] {
  return [...managers.values()].sort(compareManagers).map((manager) => entriesRead.get(manager) ?? write(manager));
}

function write({ name, operation, apiVersion, time, fields, subresource }: Manager): ManagedFieldsEntry {
  return {
    ...(name === '' ? {} : { manager: name }),
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: 'FieldsV1',
    fieldsV1: writeFieldsV1(fields),
    ...(subresource === '' ? {} : { subresource }),
  };
}

function compareManagers(one: Manager, other: Manager): number {
  const keys = ({ operation, time = '', name, apiVersion, subresource }: Manager) => [
    operation,
    time,
    name,
    apiVersion,
    subresource,
  ];
  const theirs = keys(other);
  for (const [index, key] of keys(one).entries()) if (key !== theirs[index]) return key < theirs[index]! ? -1 : 1;
  return 0;
}

/** Without those who own nothing. */
export function withoutIdle(managers: Managers): Managers {
  return new Map([...managers].filter(([, { fields }]) => !isNothing(fields)));
}
