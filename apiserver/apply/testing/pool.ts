/** Objects of the recorded kind VMPool, as any client may send them. */
import { join } from 'node:path';
import { objectType } from '#apiserver/apply/type.ts';
import type { Types } from '#apiserver/apply/writer.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import { readCrdFile } from '#apiserver/resources/crd.ts';
import { recordingsFolder } from '#apiserver/testing/recordings.ts';
import { fc } from '#test/properties.ts';

const [pools] = readCrdFile(join(recordingsFolder, 'crd.yaml'));
const versions = pools!.spec.versions.map(({ name, schema }) => [
  `factory.example.dev/${name}`,
  objectType(schema!.openAPIV3Schema!),
]);

export const v1 = 'factory.example.dev/v1';
export const v1alpha1 = 'factory.example.dev/v1alpha1';
const known = new Map(versions as [string, ReturnType<typeof objectType>][]);
export const poolTypes: Types = (apiVersion) => known.get(apiVersion);
export const poolType = poolTypes(v1)!;

export function pool(spec: JsonObject, metadata: JsonObject = {}): JsonObject {
  return { apiVersion: v1, kind: 'VMPool', metadata: { name: 'p', ...metadata }, spec };
}

const word = fc.constantFrom('a', 'b', 'c', 'constructor', 'toString', 'x.y/z');
const port = fc.record(
  { port: fc.integer({ min: 1, max: 3 }), protocol: fc.constantFrom('TCP', 'UDP') },
  { requiredKeys: ['port'] },
);
const ports = fc
  .uniqueArray(fc.tuple(word, port), { selector: ([name]) => name, maxLength: 4 })
  .map((items) => items.map(([name, rest]) => ({ name, ...rest })));
const texts = fc.dictionary(word, fc.constantFrom('1', '2'), { maxKeys: 3 });

const spec = fc.record(
  {
    image: fc.constantFrom('x', 'y'),
    replicas: fc.integer({ min: 0, max: 2 }),
    strategy: fc.constantFrom('Rolling', 'Recreate'),
    ports,
    tags: fc.uniqueArray(word, { maxLength: 4 }),
    args: fc.array(word, { maxLength: 2 }),
    nodeSelector: texts,
    // Without null, which asks for nothing where there is something.
    extra: fc.object({ key: word, values: [fc.boolean(), fc.integer(), fc.string()], maxDepth: 2, maxKeys: 2 }),
  },
  { requiredKeys: ['image'] },
);

export const anyPool: fc.Arbitrary<JsonObject> = fc
  .record({ spec, labels: fc.option(texts, { nil: undefined }) })
  .map(({ spec, labels }) => pool(spec as JsonObject, labels ? { labels } : {}));
