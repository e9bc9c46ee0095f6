import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { ApiError } from '#lib/std/errors.ts';
import { fc } from '#test/properties.ts';
import { decodeProtobuf, encodeProtobuf } from './body.ts';
import { bodyKinds, typeOf } from './tables.ts';
import { writeMessage } from './wire.ts';

const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
const keys = fc.stringMatching(/^[a-z][a-z0-9.]{0,6}$/);
const json = fc
  .jsonValue({ maxDepth: 2 })
  .map((value) => JSON.stringify({ value }))
  .filter((text) => !text.includes('"__proto__"')) // refused everywhere, see below
  .map((text) => JSON.parse(text) as Json);
const instants = fc.integer({ min: 1, max: 4_000_000_000 });
const seconds = instants.map((at) => new Date(at * 1000).toISOString().replace('.000Z', 'Z'));
const micros = fc.tuple(instants, fc.integer({ min: 0, max: 999_999 })).map(([at, fraction]) => {
  return new Date(at * 1000).toISOString().replace('.000Z', `.${String(fraction).padStart(6, '0')}Z`);
});

/** Types of fields that are worth having below a certain depth. */
const leaves = new Set(['string', 'bytes', 'bool', 'int', 'double', 'Time', 'MicroTime', 'Raw', 'Texts']);

/** What a field of this type may hold, other than its zero. */
function valuesOf(type: string, depth: number): fc.Arbitrary<Json> {
  const schema = () => messageOf('JSONSchemaProps', depth + 1);
  const special: Readonly<Record<string, () => fc.Arbitrary<Json>>> = {
    string: () => texts,
    bytes: () => fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    bool: () => fc.constant(true),
    int: () => fc.integer({ min: 1 }),
    double: () => fc.double({ noNaN: true, noDefaultInfinity: true, min: 0.5 }),
    Time: () => seconds,
    MicroTime: () => micros,
    Raw: () => json,
    Texts: () => fc.array(texts, { minLength: 1, maxLength: 3 }),
    SchemaOrArray: () => fc.oneof(schema(), fc.array(schema(), { minLength: 1, maxLength: 2 })),
    SchemaOrBool: () => fc.oneof(schema(), fc.boolean()),
    SchemaOrTexts: () => fc.oneof(schema(), fc.array(texts, { minLength: 1, maxLength: 2 })),
  };
  return special[type]?.() ?? messageOf(type, depth + 1);
}

function messageOf(name: string, depth: number): fc.Arbitrary<JsonObject> {
  const fields = typeOf(name).fields.filter(({ type }) => depth < 3 || leaves.has(type));
  const arbitraries = fields.map(({ name: field, type, shape }): [string, fc.Arbitrary<Json>] => {
    const value = fc.constant(null).chain(() => valuesOf(type, depth));
    if (shape === 'list') return [field, fc.array(value, { minLength: 1, maxLength: 2 })];
    return [field, shape === 'map' ? fc.dictionary(keys, value, { minKeys: 1, maxKeys: 2 }) : value];
  });
  const always = typeOf(name)
    .fields.filter(({ zero }) => zero === 'always')
    .map(({ name: field }) => field);
  const requiredKeys = fields.map(({ name: field }) => field).filter((field) => always.includes(field));
  return fc
    .record(Object.fromEntries(arbitraries), { requiredKeys, noNullPrototype: true })
    .map((message) => JSON.parse(JSON.stringify(message)) as JsonObject);
}

describe('protobuf bodies', () => {
  test.each(bodyKinds)('$apiVersion $kind comes back as it was written', ({ apiVersion, kind, message }) => {
    const objects = messageOf(message, 0).map((object) => ({ apiVersion, kind, ...object }));
    fc.assert(
      fc.property(objects, (object) => {
        // An empty object is what Go writes for one that was never set.
        expect(withoutEmpty(decodeProtobuf(encodeProtobuf(object)))).toEqual(withoutEmpty(object));
      }),
      { numRuns: 40 },
    );
  });

  test('leaves out what Go writes for fields that were never set', () => {
    // What kubectl 1.32 sends for `create configmap foo --from-literal=a=b`.
    const body = Buffer.concat([
      Buffer.from('k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x1d\n\x13\n\x03foo\x12\0\x1a\0"\0*\x002\x008\0B\0'),
      Buffer.from('\x12\x06\n\x01a\x12\x01b\x1a\0"\0'),
    ]);
    expect(decodeProtobuf(body)).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'foo' },
      data: { a: 'b' },
    });
  });

  test('keeps a zero that Go points to', () => {
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid: '' } };
    expect(decodeProtobuf(encodeProtobuf(options))).toEqual(options);
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', spec: { holderIdentity: '' } };
    expect(decodeProtobuf(encodeProtobuf(lease))).toEqual(lease);
  });

  test.each<[string, Buffer]>([
    ['nothing', Buffer.from('')],
    ['no magic', Buffer.from('x')],
    ['a length beyond the end', Buffer.from('k8s\0\x0a\xff', 'latin1')],
    ['a kind of which there are no messages', known('apps/v1', 'Deployment', [])],
    ['a kind without group', known('', '', [])],
    ['a number where a text belongs', known('v1', 'ConfigMap', [[1, writeMessage([[1, 7n]])]])],
    ['a group that never ends', known('v1', 'ConfigMap', [[1, Buffer.from(Array(5_000).fill(0x0b))]])],
    [
      'a time that RFC 3339 cannot say',
      known('v1', 'ConfigMap', [[1, writeMessage([[8, writeMessage([[1, 1n << 60n]])]])]]),
    ],
    ['managed fields that are no JSON', known('v1', 'ConfigMap', [[1, managedFields('{')]])],
    ['JSON with a dangerous name', known('v1', 'ConfigMap', [[1, managedFields('{"__proto__":{}}')]])],
    ['JSON that nests too deep', known('v1', 'ConfigMap', [[1, managedFields(`${'['.repeat(90)}${']'.repeat(90)}`)]])],
    [
      'a map key that is dangerous',
      known('v1', 'ConfigMap', [
        [
          2,
          writeMessage([
            [1, '__proto__'],
            [2, 'x'],
          ]),
        ],
      ]),
    ],
    [
      'schemas that nest too deep',
      known('apiextensions.k8s.io/v1', 'CustomResourceDefinition', [[2, nestedSchemas(100)]]),
    ],
    [
      'more messages than anybody needs',
      known('v1', 'ConfigMap', [[1, Buffer.from(Array(250_000).fill([0x6a, 0]).flat())]]),
    ],
  ])('refuses %s', (_, body) => {
    const before = performance.now();
    expect(() => decodeProtobuf(body)).toThrow(ApiError);
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(Object.prototype).not.toHaveProperty('x');
  });

  test('refuses damaged bodies with BadRequest and nothing else', () => {
    const whole = encodeProtobuf({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'a', labels: { b: 'c' }, managedFields: [{ manager: 'm', fieldsV1: { 'f:x': {} } }] },
      involvedObject: { kind: 'Pod', name: 'p' },
      series: { count: 2, lastObservedTime: '2026-01-01T00:00:00.000001Z' },
    });
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(damage, fc.nat(whole.length), (changes, length) => {
        const body = Buffer.from(whole);
        for (const [index, byte] of changes) body[index] = byte;
        readable(body);
        readable(whole.subarray(0, length));
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => readable(known('v1', 'Event', [], bytes))));
  });
});

function withoutEmpty(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, child]): [string, Json] => [key, withoutEmpty(child)]);
  return Object.fromEntries(entries.filter(([, child]) => JSON.stringify(child) !== '{}'));
}

function readable(body: Buffer): void {
  try {
    decodeProtobuf(body);
  } catch (error) {
    expect(error).toMatchObject({ code: 'BadRequest' });
  }
}

function known(
  apiVersion: string,
  kind: string,
  fields: Parameters<typeof writeMessage>[0],
  rest = new Uint8Array(),
): Buffer {
  const typeMeta = writeMessage([
    [1, apiVersion],
    [2, kind],
  ]);
  const raw = Buffer.concat([writeMessage(fields), rest]);
  return Buffer.concat([
    Buffer.from('k8s\0'),
    writeMessage([
      [1, typeMeta],
      [2, raw],
    ]),
  ]);
}

function managedFields(text: string): Buffer {
  return writeMessage([[17, writeMessage([[7, writeMessage([[1, text]])]])]]);
}

function nestedSchemas(depth: number): Buffer {
  let schema = writeMessage([[5, 'object']]);
  for (let level = 0; level < depth; level++) schema = writeMessage([[28, schema]]);
  return writeMessage([[7, writeMessage([[4, writeMessage([[1, schema]])]])]]);
}
