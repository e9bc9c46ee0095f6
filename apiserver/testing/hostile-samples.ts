/** Documents, patches and queries made to break a server, each with what the answer may be. */
import type { Send } from './http.ts';

export interface Sample {
  readonly name: string;
  readonly path: string;
  readonly send: Send;
  /** Statuses that are right. */
  readonly status: readonly number[];
  /** What the answer has to contain. */
  readonly says?: RegExp;
  /** What the answer must not contain. */
  readonly hides?: RegExp;
}

export const maps = '/api/v1/namespaces/default/configmaps';
/** Exists, with a list and a label. */
export const target = `${maps}/target`;
const widgets = '/apis/hostile.example/v1/namespaces/default/widgets';
/** Exists. Its spec takes any fields, and its code has to match a pattern on which a backtracking matcher hangs. */
export const widget = `${widgets}/target`;

const json = (body: string): Send => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body });
const yaml = (body: string): Send => ({ method: 'POST', headers: { 'content-type': 'application/yaml' }, body });
const patch = (type: string, body: unknown): Send => ({
  method: 'PATCH',
  headers: { 'content-type': `application/${type}` },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const map = (name: string, metadata = '', more = '') =>
  `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"${metadata}}${more}}`;
const mapYaml = (more: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\n${more}`;
const entries = (count: number, value = '') =>
  Array.from({ length: count }, (_, index) => `"k${index}":"${value}"`).join(',');
const operations = (count: number, operation: object) => Array.from({ length: count }, () => operation);

const levels = ['a: &a ["web","web","web","web","web","web","web","web","web"]'];
for (const [level, below] of [...'bcdefg'].map((letter, index) => [letter, 'abcdef'[index]!] as const))
  levels.push(`${level}: &${level} [${Array(9).fill(`*${below}`).join(',')}]`);

const refused = [400, 413, 422];

export const samples: readonly Sample[] = [
  // Documents.
  {
    name: 'YAML aliases, nine to the seventh',
    path: maps,
    send: yaml(mapYaml(levels.join('\n'))),
    status: [400],
    says: /alias/i,
  },
  {
    name: 'YAML merge key with __proto__',
    path: maps,
    send: yaml(mapYaml('data: {x: &x {__proto__: {admin: true}}, y: {<<: *x}}')),
    status: refused,
  },
  { name: 'YAML with 200,000 nested lists', path: maps, send: yaml(`x: ${'['.repeat(200_000)}`), status: [413] },
  { name: 'YAML of three million colons', path: maps, send: yaml(':'.repeat(3_000_000)), status: [413] },
  {
    name: 'YAML of a million anchors',
    path: maps,
    send: yaml(Array.from({ length: 200_000 }, (_, i) => `- &a${i} 1`).join('\n')),
    status: refused,
  },
  { name: 'YAML of a long indented comment', path: maps, send: yaml(`# ${' #'.repeat(1_400_000)}`), status: refused },
  {
    name: 'YAML whose values differ by version',
    path: `${maps}?dryRun=All`,
    send: yaml(mapYaml('data: {a: no, b: 014, c: 1:30}')),
    status: [201, 400, 422],
  },
  {
    name: '__proto__ in a document',
    path: maps,
    send: json(map('proto', '', ',"data":{"__proto__":{"admin":true}}')),
    status: [400],
    says: /__proto__/,
  },
  {
    name: 'constructor.prototype in a document',
    path: `${maps}?dryRun=All`,
    send: json(map('ctor', '', ',"constructor":{"prototype":{"p":1}}')),
    status: [201],
  },
  {
    name: '200,000 nested lists',
    path: maps,
    send: json('['.repeat(200_000) + ']'.repeat(200_000)),
    status: [413],
  },
  { name: '200,000 nested objects', path: maps, send: json('{"a":'.repeat(200_000)), status: [413] },
  {
    name: 'a number that a double cannot hold',
    path: maps,
    send: json(map('number', ',"resourceVersion":9007199254740993')),
    status: [400],
  },
  {
    name: 'a field given twice, strictly',
    path: `${maps}?fieldValidation=Strict&dryRun=All`,
    send: json(
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"role":"viewer"},"data":{"role":"admin"}}',
    ),
    status: [400],
    says: /duplicate field/,
  },
  {
    name: 'NUL and half a character in a name',
    path: maps,
    send: json(map('a\\u0000b\\ud800')),
    status: [422],
    says: /metadata.name/,
  },
  {
    name: 'half a character in data',
    path: `${maps}?dryRun=All`,
    send: json(map('half', '', ',"data":{"a":"\\ud800"}')),
    status: [201, 400, 422],
  },
  {
    name: 'a byte that is no UTF-8',
    path: `${maps}?dryRun=All`,
    send: { ...json(''), body: Buffer.from(map('bytes', '', ',"data":{"a":"\xff"}'), 'latin1') },
    status: [201, 400, 422],
  },
  {
    name: 'a million labels',
    path: maps,
    send: json(map('labels', `,"labels":{${entries(1_000_000)}}`)),
    status: [413],
  },
  {
    name: 'as many labels as fit',
    path: maps,
    send: json(map('labels', `,"labels":{${entries(230_000)}}`)),
    status: refused,
  },
  {
    name: 'as many annotations as fit',
    path: maps,
    send: json(map('labels', `,"annotations":{${entries(230_000)}}`)),
    status: refused,
  },
  {
    name: 'as many data keys as fit',
    path: maps,
    send: json(map('labels', `,"data":{${entries(230_000)}}`)),
    status: refused,
  },
  {
    name: 'as many fields given twice as fit',
    path: `${maps}?fieldValidation=Strict`,
    send: json(map('dups', '', `,"data":{${'"a":"",'.repeat(350_000)}"a":""}`)),
    status: refused,
  },
  {
    name: 'as many items as fit',
    path: maps,
    send: json(map('items', `,"finalizers":[${'"a/b",'.repeat(500_000)}"a/b"]`)),
    status: refused,
  },
  {
    name: 'as many unknown fields as fit',
    path: `${maps}?fieldValidation=Strict`,
    send: json(map('unknown', '', `,${entries(230_000)}`)),
    status: refused,
  },
  {
    name: 'annotations of 2 MB',
    path: maps,
    send: json(map('wide', `,"annotations":{"a":"${'x'.repeat(2_000_000)}"}`)),
    status: refused,
  },
  {
    name: 'a label of 64 characters',
    path: maps,
    send: json(map('label', `,"labels":{"a":"${'x'.repeat(64)}"}`)),
    status: [422],
    says: /63/,
  },
  {
    name: 'data of 1.6 MB, more than the store takes',
    path: maps,
    send: json(map('wide', '', `,"data":{"a":"${'x'.repeat(1_600_000)}"}`)),
    status: refused,
  },
  {
    name: 'ten thousand managers',
    path: `${maps}?dryRun=All`,
    send: json(
      map(
        'managers',
        `,"managedFields":[${Array.from({ length: 10_000 }, (_, i) => `{"manager":"m${i}","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{}}}`).join(',')}]`,
      ),
    ),
    status: [201, 400, 413, 422],
  },
  {
    name: 'ten thousand owners',
    path: maps,
    send: json(
      map(
        'owners',
        `,"ownerReferences":[${Array.from({ length: 10_000 }, (_, i) => `{"apiVersion":"v1","kind":"Pod","name":"p${i}","uid":"${i}"}`).join(',')}]`,
      ),
    ),
    status: [201, 413, 422],
  },
  {
    name: 'an owner without a name',
    path: maps,
    send: json(map('owner', ',"ownerReferences":[{"apiVersion":"v1","kind":"Pod"}]')),
    status: [422],
  },
  {
    name: 'generateName of 253 characters',
    path: `${maps}?dryRun=All`,
    send: json(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"${'g'.repeat(253)}"}}`),
    status: [201],
    says: /"name":"g{58}[a-z0-9]{5}"/,
  },
  {
    name: 'another content type than the body has',
    path: maps,
    send: { ...json(map('type')), headers: { 'content-type': 'text/xml' } },
    status: [415],
  },
  {
    name: 'protobuf that is none',
    path: maps,
    send: { ...json('k8s\0'), headers: { 'content-type': 'application/vnd.kubernetes.protobuf' } },
    status: [400, 415],
  },
  { name: 'no body', path: maps, send: json(''), status: [400] },
  { name: 'a body of null', path: maps, send: json('null'), status: [400] },
  {
    name: 'a pattern that backtracks',
    path: widgets,
    send: json(
      `{"apiVersion":"hostile.example/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"code":"${'a'.repeat(28)}!"}}`,
    ),
    status: [422],
    says: /spec.code/,
  },
  {
    name: 'a pattern that backtracks, against 2 MB',
    path: widgets,
    send: json(
      `{"apiVersion":"hostile.example/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"code":"${'a'.repeat(1_000_000)}!"}}`,
    ),
    status: refused,
    hides: /a{10000}/,
  },
  // Patches.
  {
    name: 'merge patch with __proto__',
    path: target,
    send: patch('merge-patch+json', '{"__proto__":{"admin":true}}'),
    status: [400],
  },
  {
    name: 'merge patch with constructor.prototype',
    path: target,
    send: patch('merge-patch+json', '{"constructor":{"prototype":{"p":1}}}'),
    status: [200, 400],
  },
  {
    name: 'merge patch 200,000 deep',
    path: target,
    send: patch('merge-patch+json', `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`),
    status: [413],
  },
  {
    name: 'merge patch of as many nulls as fit',
    path: target,
    send: patch(
      'merge-patch+json',
      `{"data":{${Array.from({ length: 230_000 }, (_, i) => `"k${i}":null`).join(',')}}}`,
    ),
    status: [200, ...refused],
  },
  {
    name: 'strategic patch with __proto__',
    path: target,
    send: patch('strategic-merge-patch+json', '{"data":{"__proto__":"x"}}'),
    status: [400],
  },
  {
    name: 'strategic patch of as many finalizers as fit',
    path: target,
    send: patch(
      'strategic-merge-patch+json',
      `{"metadata":{"finalizers":[${Array.from({ length: 100_000 }, (_, i) => `"a/f${i}"`).join(',')}]}}`,
    ),
    status: refused,
  },
  {
    name: 'strategic patch with a directive that is none',
    path: target,
    send: patch('strategic-merge-patch+json', '{"$patch":"explode"}'),
    status: [400],
  },
  {
    name: 'JSON patch to constructor.prototype',
    path: target,
    send: patch('json-patch+json', [{ op: 'add', path: '/constructor/prototype/p3', value: 'yes' }]),
    status: [422],
  },
  {
    name: 'JSON patch to __proto__',
    path: target,
    send: patch('json-patch+json', '[{"op":"add","path":"/__proto__/p4","value":"yes"}]'),
    status: [400, 422],
  },
  {
    name: 'JSON patch with a __proto__ value',
    path: target,
    send: patch('json-patch+json', '[{"op":"add","path":"/data","value":{"__proto__":{"x":1}}}]'),
    status: [400],
  },
  {
    name: 'JSON patch of 10,001 operations',
    path: target,
    send: patch('json-patch+json', operations(10_001, { op: 'test', path: '/kind', value: 'ConfigMap' })),
    status: [413],
    says: /10000/,
  },
  {
    name: 'JSON patch of 10,000 operations',
    path: target,
    send: patch('json-patch+json', operations(10_000, { op: 'test', path: '/kind', value: 'ConfigMap' })),
    status: [200],
  },
  {
    name: 'JSON patch that doubles',
    path: widget,
    send: patch('json-patch+json', operations(60, { op: 'copy', from: '/spec', path: '/spec/again' })),
    status: [413],
  },
  {
    name: 'JSON patch that copies the same 10,000 times',
    path: widget,
    send: patch('json-patch+json', operations(10_000, { op: 'copy', from: '/spec/list', path: '/spec/list2' })),
    status: [413],
  },
  {
    name: 'JSON patch that shifts a long list 10,000 times',
    path: widget,
    send: patch('json-patch+json', operations(10_000, { op: 'add', path: '/spec/list/0', value: 0 })),
    status: [413],
    says: /list/,
  },
  {
    name: 'JSON patch that builds depth',
    path: widget,
    send: patch(
      'json-patch+json',
      Array.from({ length: 200 }, (_, i) => ({ op: 'add', path: `/spec${'/a'.repeat(i + 1)}`, value: {} })),
    ),
    status: refused,
  },
  {
    name: 'JSON patch with a path of a million steps',
    path: target,
    send: patch('json-patch+json', [{ op: 'add', path: '/a'.repeat(1_000_000), value: 1 }]),
    status: refused,
  },
  { name: 'JSON patch that is an object', path: target, send: patch('json-patch+json', {}), status: [400] },
  { name: 'a patch of a type that is none', path: target, send: patch('xml-patch+xml', {}), status: [415] },
  // Queries.
  {
    name: 'a field selector of 10,000 terms',
    path: `${maps}?fieldSelector=${Array(4_000).fill('metadata.name!=a').join(',')}`,
    send: {},
    status: [400, 431],
  },
  {
    name: 'a label selector of 10,000 terms',
    path: `${maps}?labelSelector=${Array(10_000).fill('a!=b').join(',')}`,
    send: {},
    status: [400],
  },
  {
    name: 'a label selector of 10,000 values',
    path: `${maps}?labelSelector=a+in+(${Array(20_000).fill('b').join(',')})`,
    send: {},
    status: [400],
  },
  {
    name: 'a label selector of 60,000 brackets',
    path: `${maps}?labelSelector=${'('.repeat(60_000)}`,
    send: {},
    status: [400],
  },
  {
    name: 'a continue token of somebody else',
    path: `${maps}?limit=1&continue=${Buffer.from('{"v":"meta.k8s.io/v1","rv":1,"start":"/../../secrets/\\u0000"}').toString('base64url')}`,
    send: {},
    status: [200, 400, 410],
    hides: /Secret/,
  },
  {
    name: 'a continue token with a revision to come',
    path: `${maps}?limit=1&continue=${Buffer.from('{"v":"meta.k8s.io/v1","rv":9223372036854775807,"start":"/a\\u0000"}').toString('base64url')}`,
    send: {},
    status: [400, 410, 504],
  },
  {
    name: 'a continue token with a negative revision',
    path: `${maps}?limit=1&continue=${Buffer.from('{"v":"meta.k8s.io/v1","rv":-77,"start":"/a\\u0000"}').toString('base64url')}`,
    send: {},
    status: [200, 400],
  },
  { name: 'a continue token of rubbish', path: `${maps}?limit=1&continue=%00%ff`, send: {}, status: [400] },
  { name: 'a negative resourceVersion', path: `${maps}?resourceVersion=-1`, send: {}, status: [400, 422] },
  { name: 'a resourceVersion to come', path: `${maps}?resourceVersion=99999999999999`, send: {}, status: [504] },
  {
    name: 'a watch at a negative resourceVersion',
    path: `${maps}?watch=1&resourceVersion=-1`,
    send: {},
    status: [400, 422],
  },
  {
    name: 'a watch at a resourceVersion that is none',
    path: `${maps}?watch=1&resourceVersion=1e9`,
    send: {},
    status: [400, 422],
  },
  { name: 'a negative limit', path: `${maps}?limit=-5`, send: {}, status: [200, 400, 422] },
  { name: 'a timeout that is none', path: `${maps}?timeout=-1s`, send: {}, status: [400] },
  { name: 'a percent sign that encodes nothing', path: `${maps}/%`, send: {}, status: [404] },
  { name: 'dots in a path', path: '/api/v1/namespaces/default/../../../metrics', send: {}, status: [404] },
  { name: 'a slash in a name', path: `${maps}/a%2f..%2f..%2fsecrets`, send: {}, status: [400, 404] },
  { name: 'NUL in a name of a path', path: `${maps}/a%00b`, send: {}, status: [404] },
  { name: '__proto__ in a path', path: '/apis/__proto__/v1/constructor', send: {}, status: [404] },
  { name: 'a method that means nothing', path: maps, send: { method: 'OPTIONS' }, status: [405] },
  {
    name: 'an Accept header of ten thousand types',
    path: maps,
    send: { headers: { accept: Array(10_000).fill('a/b').join(',') } },
    status: [406],
  },
];

/** The kind of `widget`. */
export const widgetCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.hostile.example' },
  spec: {
    group: 'hostile.example',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                'x-kubernetes-preserve-unknown-fields': true,
                properties: { code: { type: 'string', pattern: '^(a+)+$' } },
              },
            },
          },
        },
      },
    ],
  },
} as const;
