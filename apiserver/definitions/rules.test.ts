/** Which definitions are refused, and in which words. */
import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Crd, CrdSpec, CrdVersion } from '#apiserver/resources/crd.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { projectCrds } from '#apiserver/testing/start.ts';
import { definitionRules } from './rules.ts';
import { definition, schemaWith, versionOf } from './testdata.ts';

function stored(crd: Crd, old?: StoredObject): StoredObject {
  const object = JSON.parse(JSON.stringify(crd)) as StoredObject;
  return definitionRules.defaults!(object, old) as StoredObject;
}

/** The fields and words of every cause. */
function refusals(crd: Crd): string[] {
  const causes = definitionRules.check!(stored(crd), undefined);
  return causes.map(({ field, message }) => `${field}: ${message}`);
}

const withVersions = (...versions: CrdVersion[]) => definition('Pot', { versions });
const withVersion = (more: Partial<CrdVersion>) => withVersions(versionOf('v1', { storage: true, ...more }));
const withSchema = (openAPIV3Schema: JsonObject) =>
  withVersion({ schema: { openAPIV3Schema: openAPIV3Schema as unknown as Schema } });
/** A schema with one field of spec like this. */
const withField = (field: Json) =>
  withSchema(schemaWith({ field: field as unknown as Schema }) as unknown as JsonObject);
const at = 'spec.versions[0].schema.openAPIV3Schema';
const fieldAt = `${at}.properties[spec].properties[field]`;

test('the definitions of this project are accepted', () => {
  for (const crd of projectCrds) expect(refusals(crd)).toEqual([]);
});

describe('names and versions', () => {
  const spec = (more: Partial<CrdSpec>): Crd => {
    const crd = definition('Pot', more);
    return { ...crd, metadata: { name: `${crd.spec.names.plural}.${crd.spec.group}` } };
  };
  test.each<[string, Crd, string | RegExp]>([
    [
      'another name',
      { ...definition('Pot'), metadata: { name: 'pots' } },
      'metadata.name: Invalid value: "pots": must be spec.names.plural+"."+spec.group',
    ],
    [
      'a group without a dot',
      spec({ group: 'shop' }),
      'spec.group: Invalid value: "shop": should be a domain with at least one dot',
    ],
    [
      'a group of Kubernetes',
      spec({ group: 'shop.k8s.io' }),
      /^metadata\.annotations\[api-approved\.kubernetes\.io\]: Required value/,
    ],
    [
      'capitals in the plural',
      spec({ names: { plural: 'Pots', kind: 'Pot' } }),
      /^spec\.names\.plural: Invalid value: "Pots": a DNS-1035 label/,
    ],
    [
      'one kind for both',
      spec({ names: { plural: 'pots', kind: 'Pot', listKind: 'Pot' } }),
      /^spec\.names\.listKind: .*may not be the same/,
    ],
    ['no version', spec({ versions: [] }), /^spec\.versions: Required value/],
    [
      'two versions of one name',
      withVersions(versionOf('v1', { storage: true }), versionOf('v1')),
      /^spec\.versions: .*must contain unique version names/,
    ],
    [
      'two stored versions',
      withVersions(versionOf('v1', { storage: true }), versionOf('v2', { storage: true })),
      /^spec\.versions: .*exactly one version marked as storage version/,
    ],
    ['no stored version', withVersions(versionOf('v1')), /^spec\.versions: .*exactly one/],
    [
      'no schema',
      withVersion({ schema: {} }),
      'spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required',
    ],
    [
      'a warning without deprecation',
      withVersion({ deprecationWarning: 'old' }),
      /can only be set for deprecated versions/,
    ],
    ['unknown fields by the old flag', spec({ preserveUnknownFields: true }), /^spec\.preserveUnknownFields: /],
    [
      'a conversion webhook',
      spec({ conversion: { strategy: 'Webhook' } }),
      /^spec\.conversion\.strategy: .*calls no conversion webhooks: use None/,
    ],
    [
      'a column without path',
      withVersion({ additionalPrinterColumns: [{ name: 'A', type: 'string', jsonPath: '' }] }),
      'spec.versions[0].additionalPrinterColumns[0].jsonPath: Required value',
    ],
    [
      'a column whose path cannot be read',
      withVersion({ additionalPrinterColumns: [{ name: 'A', type: 'string', jsonPath: '.a[' }] }),
      /additionalPrinterColumns\[0\]\.jsonPath: Invalid value: "\.a\["/,
    ],
    [
      'a scale outside of spec',
      withVersion({ subresources: { scale: { specReplicasPath: '.status.n', statusReplicasPath: '.status.n' } } }),
      /specReplicasPath: .*should be a json path under \.spec/,
    ],
    [
      'a scale in a list',
      withVersion({ subresources: { scale: { specReplicasPath: '.spec.a[0]', statusReplicasPath: '.status.n' } } }),
      /specReplicasPath: .*only fields are allowed/,
    ],
    [
      'a selectable field that is not there',
      withVersion({ selectableFields: [{ jsonPath: '.spec.nothing' }] }),
      /selectableFields\[0\]\.jsonPath: .*does not refer to a valid field/,
    ],
    [
      'a selectable object',
      withVersion({ selectableFields: [{ jsonPath: '.spec' }] }),
      /must point to a field of type string, boolean or integer/,
    ],
  ])('%s is refused', (_, crd, expected) => {
    const found = refusals(crd);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(typeof expected === 'string' ? new RegExp(`^${RegExp.escape(expected)}`) : expected);
  });
});

describe('schemas', () => {
  const text: JsonObject = { type: 'string' };
  test.each<[string, Crd, string | RegExp]>([
    [
      'a root that is no object',
      withSchema({ type: 'array', items: text }),
      `${at}.type: Invalid value: "array": must be object at the root`,
    ],
    [
      'a field without type',
      withField({ description: 'a' }),
      `${fieldAt}.type: Required value: must not be empty for specified object fields`,
    ],
    [
      'items without type',
      withField({ type: 'array', items: {} }),
      `${fieldAt}.items.type: Required value: must not be empty for specified array items`,
    ],
    ['a list without items', withField({ type: 'array' }), `${fieldAt}.items: Required value: must be specified`],
    [
      'items that differ by place',
      withField({ type: 'array', items: [text] }),
      /items must be a schema object and not an array/,
    ],
    ['an unknown type', withField({ type: 'text' }), /Unsupported value: "text"/],
    ['a reference', withField({ type: 'object', $ref: '#/a' }), `${fieldAt}.$ref: Forbidden: $ref is not supported`],
    ['patternProperties', withField({ type: 'object', patternProperties: {} }), /patternProperties is not supported/],
    [
      'fields and a map in one',
      withField({ type: 'object', properties: { a: text }, additionalProperties: text }),
      /mutual exclusive/,
    ],
    ['a closed object', withField({ type: 'object', additionalProperties: false }), /cannot be set to false/],
    ['uniqueItems', withField({ type: 'array', items: text, uniqueItems: true }), /quadratic/],
    [
      'a type and int-or-string',
      withField({ type: 'string', 'x-kubernetes-int-or-string': true }),
      /must be empty if x-kubernetes-int-or-string/,
    ],
    [
      'a word of the wrong type',
      withField({ type: 'string', maxLength: 'long' }),
      `${fieldAt}.maxLength: Invalid value: "long": must be of type integer`,
    ],
    [
      'rules for labels',
      withSchema({
        type: 'object',
        properties: { metadata: { type: 'object', properties: { labels: { type: 'object' } } } },
      }),
      /must not specify anything other than name and generateName/,
    ],
    [
      'a pattern that RE2 cannot read',
      withField({ type: 'string', pattern: '(?=a)' }),
      `${fieldAt}.pattern: Invalid value: "(?=a)": must be a valid regular expression`,
    ],
    ['a pattern inside anyOf', withField({ type: 'string', anyOf: [{ pattern: '(' }] }), /anyOf\[0\]\.pattern/],
    [
      'structure inside anyOf',
      withField({ type: 'object', anyOf: [{ type: 'object' }] }),
      /anyOf\[0\]\.type: Forbidden: must be empty to be structural/,
    ],
    [
      'a field that only anyOf knows',
      withField({ type: 'object', anyOf: [{ properties: { a: {} } }] }),
      /anyOf\[0\]\.properties\[a\]: Required value/,
    ],
    [
      'a default of another type',
      withField({ type: 'string', default: 5 }),
      new RegExp(`^${RegExp.escape(`${fieldAt}.default`)}: Invalid value: .*must be of type string`),
    ],
    [
      'a default with unknown fields',
      withField({ type: 'object', properties: { a: text }, default: { b: 'x' } }),
      /must not have the field b/,
    ],
    [
      'a list map without keys',
      withField({ type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map' }),
      /list-map-keys: Required value/,
    ],
    [
      'keys of a list that is none',
      withField({ type: 'array', items: text, 'x-kubernetes-list-map-keys': ['a'] }),
      /must be unset unless x-kubernetes-list-type is map/,
    ],
    [
      'a key that may be missing',
      withField({
        type: 'array',
        items: { type: 'object', properties: { a: text } },
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['a'],
      }),
      /so it must have a default or be a required property/,
    ],
    [
      'a set of objects',
      withField({ type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'set' }),
      /must be atomic as item of a list/,
    ],
    [
      'an embedded resource without content',
      withField({ type: 'object', 'x-kubernetes-embedded-resource': true }),
      /must not be empty if x-kubernetes-embedded-resource/,
    ],
  ])('with %s are refused', (_, crd, expected) => {
    const found = refusals(crd);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(typeof expected === 'string' ? new RegExp(`^${RegExp.escape(expected)}`) : expected);
  });

  test('lose words that mean nothing, at every depth', () => {
    const crd = withField({ type: 'object', unheardOf: 1, properties: { a: { type: 'string', discriminator: 'b' } } });
    expect(JSON.stringify(stored(crd))).not.toMatch(/unheardOf|discriminator/);
    expect(refusals(crd)).toEqual([]);
  });

  test('may have fields named as words of JavaScript', () => {
    expect(
      refusals(withField({ type: 'object', properties: { constructor: text, toString: text, properties: text } })),
    ).toEqual([]);
  });
});

test('a schema that was accepted is not held against stricter rules when only metadata changes', () => {
  const old = stored(withField({ description: 'without a type' }));
  const next = { ...old, metadata: { ...old.metadata, labels: { a: 'b' } } };
  expect(definitionRules.check!(next, old)).toEqual([]);
});
