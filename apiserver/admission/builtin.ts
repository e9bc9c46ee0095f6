/** Rules of Kubernetes' own kinds. */
import { at, equalJson, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { forbidden, invalid } from '#apiserver/schema/causes.ts';
import { publicNamespace, systemNamespace } from '#lib/api/names.ts';
import type { Cause } from '#lib/std/errors.ts';
import type { Rules } from './rules.ts';

/** There from the first start on, and needed. */
export const systemNamespaces: readonly string[] = ['default', systemNamespace, publicNamespace];

const namespaceLabel = 'kubernetes.io/metadata.name';

export const namespaceRules: Rules = {
  defaults(object, old) {
    const { name } = object.metadata;
    const labels = { ...object.metadata.labels, ...(name ? { [namespaceLabel]: name } : {}) };
    const labelled = { ...object, metadata: { ...object.metadata, labels } } as ApiObject;
    // The namespace is emptied before it goes: `kubernetes` stands for that, until the controller takes it away by /finalize.
    return old ? labelled : { ...labelled, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } };
  },
  refuseDelete: ({ metadata }) =>
    systemNamespaces.includes(metadata.name)
      ? 'this namespace belongs to the system and may not be deleted'
      : undefined,
};

export const secretRules: Rules = {
  defaults(object) {
    const { stringData, ...rest } = object as JsonObject;
    const data = isObject(stringData) ? { ...members(object, 'data'), ...encoded(stringData) } : at(object, 'data');
    const type = at(object, 'type') || 'Opaque';
    const secret: JsonObject = { ...rest, ...(data === undefined ? {} : { data }), type };
    return secret as ApiObject;
  },
  check: (object, old) => [
    ...checkDataKeys(object, 'data'),
    ...checkImmutable(object, old, ['data', 'type']),
    ...checkType(object, old),
  ],
};

export const configMapRules: Rules = {
  check: (object, old) => [
    ...checkDataKeys(object, 'data'),
    ...checkDataKeys(object, 'binaryData'),
    ...checkImmutable(object, old, ['data', 'binaryData']),
  ],
};

function members(object: ApiObject, name: string): JsonObject {
  const value = at(object, name);
  return isObject(value) ? value : {};
}

function encoded(texts: JsonObject): JsonObject {
  const entries = Object.entries(texts).map(([key, value]): [string, Json] => [
    key,
    typeof value === 'string' ? Buffer.from(value).toString('base64') : value,
  ]);
  return Object.fromEntries(entries);
}

function checkDataKeys(object: ApiObject, field: string): Cause[] {
  return Object.keys(members(object, field))
    .filter((key) => key.length > 253 || !/^[-._a-zA-Z0-9]+$/.test(key) || key === '.' || key.startsWith('..'))
    .map((key) =>
      invalid(`${field}[${key}]`, key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"),
    );
}

function checkImmutable(object: ApiObject, old: StoredObject | undefined, fields: readonly string[]): Cause[] {
  if (!old || at(old, 'immutable') !== true) return [];
  const changed = fields.filter((field) => !equalJson(at(object, field), at(old, field)));
  const unset = at(object, 'immutable') === true ? [] : ['immutable'];
  return [...unset, ...changed].map((field) =>
    forbidden(field, 'field is immutable when `immutable` is set; delete the object and create it again'),
  );
}

function checkType(object: ApiObject, old: StoredObject | undefined): Cause[] {
  if (!old || at(old, 'type') === at(object, 'type')) return [];
  return [invalid('type', at(object, 'type') ?? '', 'field is immutable; delete the secret and create it again')];
}
