/** The JSON paths of a version: columns, scale, selectable fields. */
import { compileJsonPath, fieldNames } from '#apiserver/present/jsonpath.ts';
import type { CrdVersion } from '#apiserver/resources/crd.ts';
import type { Column } from '#apiserver/resources/resource.ts';
import { duplicate, invalid, required, tooMany } from '#apiserver/schema/causes.ts';
import { propertyOf, type Schema } from '#apiserver/schema/schema.ts';
import { type Cause, messageOf } from '#lib/std/errors.ts';

const maxSelectable = 8;
const columnFormats = ['int32', 'int64', 'float', 'double', 'byte', 'date', 'date-time', 'password'];

export function checkColumns(columns: readonly Column[], path: string): Cause[] {
  return columns.flatMap(({ name, format = '', jsonPath }, index) => [
    ...(name === '' ? [required(`${path}[${index}].name`)] : []),
    ...(format === '' || columnFormats.includes(format)
      ? []
      : [invalid(`${path}[${index}].format`, format, `must be one of ${columnFormats.join(',')}`)]),
    ...checkPath(jsonPath, `${path}[${index}].jsonPath`, compileJsonPath),
  ]);
}

export function checkScale(scale: NonNullable<CrdVersion['subresources']>['scale'], path: string): Cause[] {
  if (!scale) return [];
  return [
    ...checkFieldPath(scale.specReplicasPath, `${path}.specReplicasPath`, ['spec']),
    ...checkFieldPath(scale.statusReplicasPath, `${path}.statusReplicasPath`, ['status']),
    ...(scale.labelSelectorPath
      ? checkFieldPath(scale.labelSelectorPath, `${path}.labelSelectorPath`, ['status', 'spec'])
      : []),
  ];
}

export function checkSelectable(version: CrdVersion, path: string): Cause[] {
  const fields = (version.selectableFields ?? []).map(({ jsonPath }) => jsonPath);
  return [
    ...(fields.length > maxSelectable ? [tooMany(path, fields.length, maxSelectable)] : []),
    ...fields.flatMap((field, index) => [
      ...(fields.indexOf(field) < index ? [duplicate(`${path}[${index}].jsonPath`, field)] : []),
      ...checkSelectableField(field, version, `${path}[${index}].jsonPath`),
    ]),
  ];
}

/** Selectors compare text, so the field must be one whose text is no question. */
function checkSelectableField(field: string, version: CrdVersion, path: string): Cause[] {
  const unreadable = checkPath(field, path, fieldNames);
  if (unreadable.length > 0) return unreadable;
  const names = fieldNames(field);
  if (names[0] === 'metadata') return [invalid(path, field, 'must not point to fields in metadata')];
  const schema = schemaAt(version.schema?.openAPIV3Schema, names);
  if (!schema) return [invalid(path, field, 'does not refer to a valid field')];
  const simple = schema.type === 'string' || schema.type === 'boolean' || schema.type === 'integer';
  return simple ? [] : [invalid(path, field, 'must point to a field of type string, boolean or integer')];
}

function schemaAt(schema: Schema | undefined, names: readonly string[]): Schema | undefined {
  return names.reduce<Schema | undefined>((here, name) => here && propertyOf(here, name), schema);
}

function checkFieldPath(text: string, path: string, roots: readonly string[]): Cause[] {
  if (text === '') return [required(path)];
  const unreadable = checkPath(text, path, fieldNames);
  if (unreadable.length > 0) return unreadable;
  const [root = '', ...rest] = fieldNames(text);
  const where = roots.map((name) => `.${name}`).join(' or ');
  return roots.includes(root) && rest.length > 0 ? [] : [invalid(path, text, `should be a json path under ${where}`)];
}

function checkPath(text: string, path: string, read: (text: string) => unknown): Cause[] {
  if (text === '') return [required(path)];
  try {
    read(text);
    return [];
  } catch (error) {
    return [invalid(path, text, messageOf(error))];
  }
}
