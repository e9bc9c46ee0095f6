/** Schemas of kinds and their lists, as documents name and show them. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { described, listMetaName, objectMetaName, ref, typeFields } from './meta-schemas.ts';

/** As Kubernetes names definitions: the group turned around, then version and kind. */
export function schemaName({ group, version }: Pick<Resource, 'group' | 'version'>, kind: string): string {
  const reversed = group === '' ? 'io.k8s.api.core' : group.split('.').reverse().join('.');
  return `${reversed}.${version}.${kind}`;
}

const known = new WeakMap<Resource, JsonObject>();

/** A kind and its list, each by its name. Made once per resource. */
export function kindSchemas(resource: Resource): JsonObject {
  const made = known.get(resource);
  if (made) return made;
  const schemas = {
    [schemaName(resource, resource.kind)]: kindSchema(resource),
    [schemaName(resource, resource.listKind)]: listSchema(resource),
  };
  known.set(resource, schemas);
  return schemas;
}

function kindSchema(resource: Resource): JsonObject {
  // Schemas hold JSON only.
  const schema = withEmbedded(resource.schema as unknown as JsonObject);
  const properties = at(schema, 'properties');
  return {
    ...schema,
    properties: {
      ...typeFields,
      ...(isObject(properties) ? properties : {}),
      metadata: described(objectMetaName, 'Name, labels, owners and the like.'),
    },
    'x-kubernetes-group-version-kind': [{ ...kindOf(resource), kind: resource.kind }],
  };
}

function listSchema(resource: Resource): JsonObject {
  const { kind, listKind } = resource;
  return {
    type: 'object',
    description: `${listKind} is a list of ${kind} in ${apiVersionOf(resource)}.`,
    required: ['items'],
    properties: {
      ...typeFields,
      metadata: described(listMetaName, 'Of which moment the list is, and where it goes on.'),
      items: { type: 'array', description: 'The objects.', items: ref(schemaName(resource, kind)) },
    },
    'x-kubernetes-group-version-kind': [{ ...kindOf(resource), kind: listKind }],
  };
}

function kindOf({ group, version }: Resource): JsonObject {
  return { group, version };
}

/** Whole objects inside of objects have the fields that all objects have. */
function withEmbedded(schema: JsonObject): JsonObject {
  const inner = Object.fromEntries(
    Object.entries(schema).map(([word, value]) => [word, withEmbeddedBelow(word, value)]),
  );
  if (at(schema, 'x-kubernetes-embedded-resource') !== true) return inner;
  const properties = at(inner, 'properties');
  return {
    ...inner,
    properties: {
      ...typeFields,
      ...(isObject(properties) ? properties : {}),
      metadata: described(objectMetaName, 'Name, labels, owners and the like.'),
    },
  };
}

function withEmbeddedBelow(word: string, value: Json): Json {
  const below = (child: Json) => (isObject(child) ? withEmbedded(child) : child);
  if (word === 'properties' && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, below(child)]));
  return word === 'items' || word === 'additionalProperties' ? below(value) : value;
}
