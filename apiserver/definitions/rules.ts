/** CustomResourceDefinitions as objects: what is filled in, and what may become of one that is there. */
import type { Rules } from '#apiserver/admission/rules.ts';
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { asCrd, type CrdSpec, isTrue, type StoredCrd } from '#apiserver/resources/crd.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { checkDefinition } from './check-spec.ts';
import { withCondition } from './conditions.ts';
import { knownWords } from './keywords.ts';

/** Holds a deleted definition until all its objects are gone. */
export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';

export const definitionRules: Rules = {
  defaults: (object, old) => withStoredVersion(withNames(withSchemas(object)), old),
  check(object, old) {
    const crd = asCrd(object as StoredObject);
    const before = old && asCrd(old);
    return [
      // What has been accepted stays accepted: a definition must not be stuck because rules have become stricter.
      ...(old && sameJson(at(object, 'spec'), at(old, 'spec')) ? [] : checkDefinition(crd)),
      ...checkStoredVersions(crd),
      ...(before ? checkUnchanged(crd.spec, before) : []),
    ];
  },
  beginDelete(object, now) {
    const finalizers = object.metadata.finalizers ?? [];
    const held = finalizers.includes(cleanupFinalizer) ? finalizers : [...finalizers, cleanupFinalizer];
    return withCondition(
      { ...object, metadata: { ...object.metadata, finalizers: held } },
      {
        type: 'Terminating',
        status: 'True',
        reason: 'InstanceDeletionPending',
        message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will occur as soon as possible',
      },
      now,
    );
  },
};

function mapSpec(object: ApiObject, change: (spec: JsonObject) => JsonObject): ApiObject {
  const spec = at(object, 'spec');
  return isObject(spec) ? ({ ...object, spec: change(spec) } as ApiObject) : object;
}

/** Schemas without words that mean nothing. */
function withSchemas(object: ApiObject): ApiObject {
  return mapSpec(object, (spec) => {
    const versions = at(spec, 'versions');
    return Array.isArray(versions) ? { ...spec, versions: versions.map(withSchema) } : spec;
  });
}

function withSchema(version: Json): Json {
  if (!isObject(version)) return version;
  const schema = at(version, 'schema');
  const inner = isObject(schema) ? at(schema, 'openAPIV3Schema') : undefined;
  if (!isObject(schema) || !isObject(inner)) return version;
  return { ...version, schema: { ...schema, openAPIV3Schema: knownWords(inner) } };
}

function withNames(object: ApiObject): ApiObject {
  return mapSpec(object, (spec) => {
    const names = at(spec, 'names');
    if (!isObject(names)) return spec;
    const kind = at(names, 'kind');
    if (typeof kind !== 'string' || kind === '') return spec;
    const singular = at(names, 'singular') || kind.toLowerCase();
    const listKind = at(names, 'listKind') || `${kind}List`;
    return { ...spec, names: { ...names, singular, listKind } };
  });
}

/** Whatever version objects have ever been stored in is kept in mind: some may still be. */
function withStoredVersion(object: ApiObject, old: StoredObject | undefined): ApiObject {
  const spec = at(object, 'spec');
  const versions = isObject(spec) ? at(spec, 'versions') : undefined;
  const version = Array.isArray(versions)
    ? versions.find((item) => isObject(item) && at(item, 'storage') === true)
    : undefined;
  const name = isObject(version) ? at(version, 'name') : undefined;
  if (typeof name !== 'string') return object;
  const status = at(object, 'status');
  const known = isObject(status) ? status : {};
  const stored = at(known, 'storedVersions');
  const list = Array.isArray(stored) ? stored : [];
  const storedVersions = list.includes(name) ? list : [...list, name];
  const fresh = old ? {} : { acceptedNames: { plural: '', kind: '' }, conditions: [] };
  return { ...object, status: { ...fresh, ...known, storedVersions } } as ApiObject;
}

function checkStoredVersions({ spec, status }: StoredCrd): Cause[] {
  const versions = new Set(spec.versions.map(({ name }) => name));
  return (status?.storedVersions ?? []).flatMap((name, index) =>
    versions.has(name)
      ? []
      : [
          invalid(
            `status.storedVersions[${index}]`,
            name,
            `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
          ),
        ],
  );
}

/** Where objects are stored, and under which kind, cannot change under them. */
function checkUnchanged(spec: CrdSpec, { spec: before, status }: StoredCrd): Cause[] {
  const same = (field: string, value: string, old: string) =>
    value === old ? [] : [invalid(field, value, 'field is immutable')];
  const inUse = isTrue(status, 'Established');
  return [
    ...same('spec.group', spec.group, before.group),
    ...same('spec.names.plural', spec.names.plural, before.names.plural),
    ...(inUse ? same('spec.scope', spec.scope, before.scope) : []),
    ...(inUse ? same('spec.names.kind', spec.names.kind, before.names.kind) : []),
  ];
}
