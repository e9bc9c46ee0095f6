/**
 * Everything that reads what clients write, with what chance makes of it: it answers or refuses as it says it does, and never anything else.
 * FUZZ_RUNS makes more of each.
 */

import { afterAll, describe, expect, test } from 'vitest';
import { ApiError } from '#lib/std/errors.ts';
import { seededRandom } from '#lib/std/random.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { fc } from '#test/properties.ts';
import { seed } from '#test/seed.ts';
import { readPolicy } from './audit/policy.ts';
import { auditIdOf } from './chain/headers.ts';
import { parseDuration } from './http/duration.ts';
import { negotiate } from './http/negotiate.ts';
import { requestInfo } from './http/request-info.ts';
import { at, copyJson, isObject, type Json, type JsonObject } from './json/json.ts';
import { parseJson } from './json/strict.ts';
import { parseYaml, printYaml } from './json/yaml.ts';
import { jsonPatch } from './patch/json-patch.ts';
import { mergePatch } from './patch/merge.ts';
import { strategicPatch } from './patch/strategic.ts';
import { compileJsonPath } from './present/jsonpath.ts';
import { decodeProtobuf, encodeProtobuf } from './protobuf/body.ts';
import { builtins } from './resources/builtin.ts';
import { coerceMetadata } from './schema/metadata.ts';
import { readContinue, writeContinue } from './selectors/continue.ts';
import { parseFieldSelector } from './selectors/fields.ts';
import { parseLabelSelector } from './selectors/labels.ts';
import { checkMetadata } from './verbs/check-metadata.ts';
import { prepare } from './verbs/prepare.ts';

const runs = Number(process.env.FUZZ_RUNS ?? 200);
const seeds = [seed, seed + 1, seed + 2];
let inputs = 0;

afterAll(() => {
  process.stdout.write(`fuzz: ${inputs} inputs; seeds ${seeds.join(', ')}\n`);
});

const odd = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  '',
  '~',
  '/',
  '~1',
  '-',
  '0',
  '-1',
  '1e9',
  '\0',
  '\ud800',
  'é',
  '$patch',
  'replace',
  'null',
  'a',
  'b',
];
const name = fc.oneof(fc.constantFrom(...odd), fc.string({ maxLength: 5, unit: 'binary' }));
const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(fc.constant(null), fc.boolean(), fc.integer({ min: -5, max: 5 }), name),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie('value')), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs) as Json),
  ),
})).value;
const object = json.filter(isObject) as fc.Arbitrary<JsonObject>;
/** Text of the pieces that a grammar is made of, and of others. */
const textOf = (...pieces: readonly string[]) =>
  fc.array(fc.oneof(fc.constantFrom(...pieces), name), { maxLength: 30 }).map((parts) => parts.join(''));

const pointer = fc.array(name, { maxLength: 4 }).map((names) => names.map((part) => `/${part}`).join(''));
const operation = fc.record(
  {
    op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'explode'),
    path: fc.oneof(pointer, name),
    from: fc.oneof(pointer, name),
    value: json,
  },
  { requiredKeys: ['op', 'path'] },
);

const map = builtins.find(({ kind }) => kind === 'ConfigMap')!;
const event = builtins.find(({ kind }) => kind === 'Event')!;
const wire = encodeProtobuf({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a', labels: { a: 'b' } },
  data: { k: 'v' },
});
const damaged = fc
  .array(fc.tuple(fc.nat(wire.length - 1), fc.nat(255)), { maxLength: 6 })
  .chain((changes) => fc.nat(wire.length).map((length) => ({ changes, length })))
  .map(({ changes, length }) => {
    const bytes = Buffer.from(wire);
    for (const [index, byte] of changes) bytes[index] = byte;
    return bytes.subarray(0, Math.max(4, length));
  });

/** Checks that hold whatever comes in. What `run` throws must be an error that it announces. */
interface Target<T> {
  readonly input: fc.Arbitrary<T>;
  readonly run: (input: T) => void;
}
const target = <T>(input: fc.Arbitrary<T>, run: (input: T) => void): Target<unknown> =>
  ({ input, run }) as unknown as Target<unknown>;

const unchanged = <T extends Json>(value: T, work: (value: T) => Json): void => {
  const before = JSON.stringify(value);
  try {
    expect(JSON.parse(JSON.stringify(work(value)))).toBeDefined();
  } finally {
    expect(JSON.stringify(value)).toBe(before);
  }
};

const targets: Readonly<Record<string, Target<unknown>>> = {
  'JSON, any text': target(
    textOf('{', '}', '[', ']', ':', ',', '"', '"a":', '1', '-', 'e', '\\', '\\u00', ' ', '\n'),
    (text) => {
      const { value } = parseJson(text, 'x');
      expect(sameJson(value, JSON.parse(text) as Json)).toBe(true);
    },
  ),
  'JSON, of values': target(json, (value) => {
    const { value: read, duplicates } = parseJson(JSON.stringify(value), 'x');
    expect([read, duplicates]).toEqual([value, []]);
  }),
  'YAML, any text': target(
    textOf(
      'a: ',
      '- ',
      '\n',
      '  ',
      '&a ',
      '*a',
      '<<: ',
      '{',
      '}',
      '[',
      ']',
      ', ',
      ': ',
      '? ',
      '| ',
      '>-',
      '!!',
      '!!binary ',
      '"',
      "'",
      '---\n',
      '...',
      '#',
      '%YAML 1.1\n',
      '0o7',
      '.inf',
      '.nan',
      '~',
    ),
    (text) => {
      JSON.stringify(parseYaml(text, 'x').value);
    },
  ),
  'YAML, of values': target(object, (value) => {
    expect(sameJson(parseYaml(printYaml(value), 'x').value, value)).toBe(true);
  }),
  'JSON patch': target(fc.tuple(json, fc.array(operation, { maxLength: 6 })), ([document, patch]) =>
    unchanged(document, (value) => jsonPatch(value, copyJson(patch as Json))),
  ),
  'JSON patch that is none': target(fc.tuple(json, json), ([document, patch]) =>
    unchanged(document, (value) => jsonPatch(value, patch)),
  ),
  'merge patch': target(fc.tuple(json, json), ([document, patch]) => {
    const patched = mergePatch(document, patch);
    expect(sameJson(patched, merged(document, patch))).toBe(true);
  }),
  'strategic merge patch': target(
    fc.tuple(
      object,
      object,
      fc.array(
        fc.record({ uid: name, $patch: fc.constantFrom('delete', 'merge', 'replace', 'x') }, { requiredKeys: [] }),
        { maxLength: 4 },
      ),
    ),
    ([document, patch, ownerReferences]) =>
      unchanged(document, (value) =>
        strategicPatch(
          value,
          { ...patch, metadata: { ownerReferences: copyJson(ownerReferences as Json) } },
          map.schema,
        ),
      ),
  ),
  'label selector': target(
    textOf('a', '=', '==', '!=', '!', ' in ', ' notin ', '(', ')', ',', ' ', '<', '>', 'a.b/c'),
    (text) => {
      parseLabelSelector(text)({ a: 'b' });
    },
  ),
  'field selector': target(textOf('metadata.name', 'type', '=', '==', '!=', ',', '\\', ' '), (text) => {
    parseFieldSelector(text, event).matches({ metadata: { name: 'a' } } as never);
  }),
  'continue token': target(
    fc.tuple(textOf('1', '-', '0'), textOf('/', 'a', '\\', '\\u00', '\\n', '"')),
    ([rev, start]) => {
      const text = `{"v":"meta.k8s.io/v1","rv":${rev || 1},"start":"${start}"}`;
      readContinue(Buffer.from(text).toString('base64url'));
    },
  ),
  'continue token, of what was written': target(
    fc.tuple(
      fc.bigInt({ min: -1n, max: 2n ** 62n }),
      fc.string({ minLength: 1 }).filter((text) => !/^\/|\0$/.test(text)),
    ),
    ([rev, after]) => {
      expect(readContinue(writeContinue({ rev, after }))).toEqual({ rev, after });
    },
  ),
  'Accept header': target(
    textOf(
      'application/json',
      'application/yaml',
      '*/*',
      ';as=Table',
      ';v=v1',
      ';g=meta.k8s.io',
      ';q=',
      '0.5',
      ',',
      ';',
      '=',
      ' ',
    ),
    (header) => {
      negotiate({ accept: header, userAgent: header, query: new URLSearchParams() });
    },
  ),
  'path and query': target(
    fc.tuple(
      name,
      textOf(
        '/',
        'api',
        '/api/v1',
        '/apis',
        'namespaces',
        '/watch',
        '%',
        '%2f',
        '%00',
        '..',
        '?',
        '&',
        'watch=1',
        '=',
        '#',
        '//',
      ),
    ),
    ([method, url]) => {
      requestInfo(method, url);
    },
  ),
  'JSON path': target(
    fc.tuple(textOf('.', '[', ']', '{', '}', '*', '$', '?(@.', '==', "'", '"', ')', '[0]', '[*]', '\\', 'a'), json),
    ([source, value]) => {
      compileJsonPath(source)(value);
    },
  ),
  metadata: target(
    fc.oneof(
      json,
      fc.dictionary(
        fc.constantFrom(
          'name',
          'labels',
          'finalizers',
          'ownerReferences',
          'managedFields',
          'generation',
          'creationTimestamp',
          'x',
        ),
        json,
      ),
    ),
    (value) => {
      JSON.stringify(coerceMetadata(copyJson(value as Json), 'ConfigMap', []));
    },
  ),
  'a document of a kind': target(
    fc.record(
      {
        apiVersion: fc.oneof(fc.constant('v1'), json),
        kind: fc.oneof(fc.constant('ConfigMap'), json),
        metadata: json,
        data: json,
      },
      { requiredKeys: [] },
    ),
    (value) => {
      const sent = { value: copyJson(value as JsonObject), duplicates: [] };
      checkMetadata(
        prepare(sent, map, 'Warn', () => undefined),
        map,
      );
    },
  ),
  'protobuf, any bytes': target(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    decodeProtobuf(Buffer.concat([Buffer.from('k8s\0'), bytes]));
  }),
  'protobuf, damaged': target(damaged, (bytes) => {
    JSON.stringify(decodeProtobuf(bytes));
  }),
  'audit policy': target(
    textOf(
      'apiVersion: audit.k8s.io/v1\n',
      'kind: Policy\n',
      'rules:\n',
      '- level: ',
      'Metadata\n',
      '  users: [',
      ']\n',
      '{',
    ),
    (text) => {
      readPolicy(text);
    },
  ),
  duration: target(textOf('1', '.', 'h', 'm', 's', 'ms', '-', '0'), (text) => {
    const ms = parseDuration(text);
    expect(ms === undefined || ms >= 0).toBe(true);
  }),
  'Audit-Id': target(textOf('a', ' ', '\n', 'x'.repeat(64)), (text) => {
    expect(auditIdOf(text, seededRandom(1))).toMatch(/^[\x21-\x7e]{1,64}$/);
  }),
};

/** RFC 7386 once more, as its section 2 has it. */
function merged(document: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result = new Map(isObject(document) ? Object.entries(document) : []);
  for (const key of Object.keys(patch)) {
    const value = at(patch, key)!;
    if (value === null) result.delete(key);
    else result.set(key, merged(result.get(key), value));
  }
  return Object.fromEntries(result);
}

const inherited = () =>
  JSON.stringify([Object, Array, Function].map(({ prototype }) => Reflect.ownKeys(prototype).map(String)));

/** Refused in the words of the API, or, where an operator wrote it, by saying what cannot be read. A stack overflow is a RangeError too. */
const isAnnounced = (error: unknown) =>
  error instanceof ApiError || (error instanceof RangeError && error.message.startsWith('Cannot read '));

describe.each(Object.entries(targets))('%s', (_, { input, run }) => {
  test.each(seeds)('seed %i', (seed) => {
    const before = inherited();
    fc.assert(
      fc.property(input, (value) => {
        inputs++;
        try {
          run(value);
        } catch (error) {
          if (!isAnnounced(error)) throw error;
        }
        expect(inherited()).toBe(before);
      }),
      { seed, numRuns: runs },
    );
  });
});
