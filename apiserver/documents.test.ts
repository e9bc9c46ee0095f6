/** Discovery and OpenAPI, held against those of a real API server with the same definitions, and against themselves. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { definitionKind } from './definitions/kind.ts';
import { createDocuments, type Document } from './documents.ts';
import { isObject, type Json, type JsonObject } from './json/json.ts';
import { builtins } from './resources/builtin.ts';
import { type Crd, readCrdFile } from './resources/crd.ts';
import { resourcesOf } from './resources/custom.ts';
import { createRegistry, type Registry } from './resources/registry.ts';
import { recordingsFolder } from './testing/recordings.ts';
import { projectCrds } from './testing/start.ts';

const recorded = (name: string) => JSON.parse(readFileSync(join(recordingsFolder, name), 'utf8')) as JsonObject;
const crds = readCrdFile(join(recordingsFolder, 'crd.yaml'));
const group = 'factory.example.dev';

function registryWith(definitions: readonly Crd[]): Registry {
  const registry = createRegistry([...builtins, definitionKind]);
  registry.define(definitions.flatMap((crd) => resourcesOf(crd)));
  return registry;
}

const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
const gnostic = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';

/** Asks for documents of these definitions. */
function asker(registry: Registry) {
  const documents = createDocuments(registry);
  const ask = (path: string, accept?: string): Document => {
    const document = documents(path, accept);
    if (!document) throw new Error(`No document at ${path}`);
    return document;
  };
  return { ask, json: (path: string, accept?: string) => JSON.parse(String(ask(path, accept).content)) as JsonObject };
}

const recordedKinds = asker(registryWith(crds));

const named = (list: Json | undefined, key: string) =>
  new Map((list as JsonObject[]).map((item) => [item[key] as string, item]));

describe('discovery of the recorded definitions', () => {
  test('of a group is as recorded', () => {
    expect(recordedKinds.json(`/apis/${group}`)).toEqual(recorded('discovery-apigroup.json'));
  });

  test('of a group and version is as recorded, subresources and storage version hashes included', () => {
    const [ours, theirs] = [recordedKinds.json(`/apis/${group}/v1`), recorded('discovery-apiresourcelist.json')];
    expect(named(ours.resources, 'name')).toEqual(named(theirs.resources, 'name'));
    expect({ ...ours, resources: [] }).toEqual({ ...theirs, resources: [] });
  });

  test('of everything at once is as recorded', () => {
    const groupIn = (list: JsonObject) =>
      (list.items as JsonObject[]).find(({ metadata }) => (metadata as JsonObject).name === group);
    const ours = recordedKinds.json('/apis', aggregated);
    const theirs = recorded('discovery-aggregated-apis.json');
    expect(groupIn(ours)).toEqual(groupIn(theirs));
    expect({ ...ours, items: [] }).toEqual({ ...theirs, items: [] });
  });

  test('in the beta form is answered with the list of groups, which older clients take', () => {
    const beta = aggregated.replace('v=v2', 'v=v2beta1');
    expect(recordedKinds.json('/apis', beta).kind).toBe('APIGroupList');
    expect(recordedKinds.json('/api', beta).kind).toBe('APIVersions');
  });
});

/** Everything that a document refers to is in it. */
function expectWhole(document: JsonObject, prefix: string, schemas: JsonObject): void {
  const targets = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target!);
  expect(targets.length).toBeGreaterThan(0);
  expect(targets.filter((target) => !target.startsWith(prefix) || !(target.slice(prefix.length) in schemas))).toEqual(
    [],
  );
}

const schemasOf = (document: JsonObject) => (document.components as JsonObject).schemas as JsonObject;

describe('OpenAPI v3', () => {
  test('is indexed as recorded', () => {
    const paths = recordedKinds.json('/openapi/v3').paths as Record<string, { serverRelativeURL: string }>;
    const theirs = recorded('openapi-v3-index.json').paths as typeof paths;
    const shape = ({ serverRelativeURL }: { serverRelativeURL: string }) =>
      serverRelativeURL.replace(/=[0-9A-F]{128}$/, '=HASH');
    const both = Object.keys(theirs).filter((path) => path.startsWith('apis/') && path.split('/').length === 3);
    expect(both).toHaveLength(3);
    for (const path of both) expect(shape(paths[path]!)).toBe(shape(theirs[path]!));
  });

  test('names the hash of each document, under which it can be had', () => {
    const paths = recordedKinds.json('/openapi/v3').paths as Record<string, { serverRelativeURL: string }>;
    for (const [path, { serverRelativeURL }] of Object.entries(paths)) {
      const { hash } = recordedKinds.ask(`/openapi/v3/${path}`);
      expect(serverRelativeURL).toBe(`/openapi/v3/${path}?hash=${hash}`);
    }
  });

  test('has at least what kubectl needs', () => {
    const smallest = recorded('openapi-v3-smallest-that-kubectl-accepts.json');
    const ours = recordedKinds.json(`/openapi/v3/apis/${group}/v1`);
    const [path] = Object.keys(smallest.paths as JsonObject);
    const operationIn = (document: JsonObject) =>
      ((document.paths as JsonObject)[path!] as JsonObject).patch as JsonObject;
    const [patch, theirs] = [operationIn(ours), operationIn(smallest)];
    for (const word of ['x-kubernetes-group-version-kind', 'x-kubernetes-action'])
      expect(patch[word]).toEqual(theirs[word]);
    expect((patch.parameters as JsonObject[]).map(({ name }) => name)).toContain('fieldValidation');
    const typesOf = (operation: JsonObject) => Object.keys((operation.requestBody as JsonObject).content as JsonObject);
    expect(typesOf(patch)).toEqual(expect.arrayContaining(typesOf(theirs)));
    expect(typesOf(patch)).not.toContain('application/strategic-merge-patch+json');
    const name = 'dev.example.factory.v1.VMPool';
    expect((schemasOf(ours)[name] as JsonObject)['x-kubernetes-group-version-kind']).toEqual(
      (schemasOf(smallest)[name] as JsonObject)['x-kubernetes-group-version-kind'],
    );
  });

  test('lists the verbs of every path', () => {
    const paths = recordedKinds.json(`/openapi/v3/apis/${group}/v1`).paths as Record<string, JsonObject>;
    const verbs = Object.entries(paths).map(([path, item]) => [
      path.replace(`/apis/${group}/v1/`, ''),
      Object.values(item)
        .filter(isObject)
        .map((operation) => operation['x-kubernetes-action']),
    ]);
    const object = ['get', 'put', 'delete', 'patch'];
    const pools = 'namespaces/{namespace}/vmpools';
    expect(Object.fromEntries(verbs)).toEqual({
      images: ['list', 'post', 'deletecollection'],
      'images/{name}': object,
      vmpools: ['list'],
      [pools]: ['list', 'post', 'deletecollection'],
      [`${pools}/{name}`]: object,
      [`${pools}/{name}/status`]: ['get', 'put', 'patch'],
      [`${pools}/{name}/scale`]: ['get', 'put', 'patch'],
    });
  });

  test('is whole in every group, and knows each kind, its list and the types of all objects', () => {
    const registry = registryWith([...crds, ...projectCrds]);
    const { json } = asker(registry);
    for (const { group, versions } of registry.groups())
      for (const version of versions) {
        const document = json(`/openapi/v3/${group === '' ? 'api' : `apis/${group}`}/${version}`);
        const schemas = schemasOf(document);
        expectWhole(document, '#/components/schemas/', schemas);
        const kinds = Object.values(schemas).flatMap(
          (schema) => (schema as JsonObject)['x-kubernetes-group-version-kind'] ?? [],
        ) as JsonObject[];
        for (const { kind, listKind } of registry.of({ group, version }))
          for (const wanted of [kind, listKind]) expect(kinds).toContainEqual({ group, version, kind: wanted });
        expect(Object.keys(schemas)).toEqual(
          expect.arrayContaining(
            ['ObjectMeta', 'ListMeta', 'Status'].map((name) => `io.k8s.apimachinery.pkg.apis.meta.v1.${name}`),
          ),
        );
      }
  });

  test('changes with the schema of a kind, and with nothing else', () => {
    const registry = registryWith([...crds, ...projectCrds]);
    const { ask } = asker(registry);
    const hashes = () =>
      [`apis/${group}/v1`, 'apis/computefactory.io/v1alpha1', 'api/v1'].map((path) => ask(`/openapi/v3/${path}`).hash);
    const etags = () => ['/apis', '/openapi/v2', '/openapi/v3'].map((path) => ask(path).hash);
    const [before, etagsBefore] = [hashes(), etags()];
    const edited = (change: (version: Crd['spec']['versions'][number]) => object) =>
      crds.map((crd) => ({
        ...crd,
        spec: { ...crd.spec, versions: crd.spec.versions.map((version) => ({ ...version, ...change(version) })) },
      }));
    const define = (definitions: readonly Crd[]) =>
      registry.define([...definitions, ...projectCrds].flatMap((crd) => resourcesOf(crd)));
    define(edited(() => ({ additionalPrinterColumns: [] })));
    expect([hashes(), etags()]).toEqual([before, etagsBefore]);
    define(edited(() => ({ schema: { openAPIV3Schema: { type: 'object', description: 'Something else.' } } })));
    const [changed, ...same] = hashes();
    expect(changed).not.toBe(before[0]);
    expect(same).toEqual(before.slice(1));
    expect(etags().map((etag, index) => etag === etagsBefore[index])).toEqual([true, false, false]);
  });
});

/** As much of gnostic's OpenAPIv2.proto as clients read, for a reader that knows nothing of our writer. */
const proto = `syntax = "proto3"; package openapi.v2;
message Document { string swagger = 1; Info info = 2; Paths paths = 8; Definitions definitions = 9; }
message Info { string title = 1; string version = 2; }
message Paths { repeated NamedPathItem path = 2; }
message NamedPathItem { string name = 1; PathItem value = 2; }
message PathItem { Operation get = 2; Operation put = 3; Operation post = 4; Operation delete = 5; Operation patch = 8; repeated ParametersItem parameters = 9; }
message Operation { repeated string tags = 1; string description = 3; string operation_id = 5; repeated string produces = 6; repeated string consumes = 7;
  repeated ParametersItem parameters = 8; Responses responses = 9; repeated NamedAny vendor_extension = 13; }
message ParametersItem { Parameter parameter = 1; }
message Parameter { BodyParameter body_parameter = 1; NonBodyParameter non_body_parameter = 2; }
message BodyParameter { string description = 1; string name = 2; string in = 3; bool required = 4; Schema schema = 5; }
message NonBodyParameter { QueryParameter query_parameter_sub_schema = 3; PathParameter path_parameter_sub_schema = 4; }
message QueryParameter { bool required = 1; string in = 2; string description = 3; string name = 4; string type = 6; }
message PathParameter { bool required = 1; string in = 2; string description = 3; string name = 4; string type = 5; }
message Responses { repeated NamedResponseValue response_code = 1; }
message NamedResponseValue { string name = 1; ResponseValue value = 2; }
message ResponseValue { Response response = 1; }
message Response { string description = 1; SchemaItem schema = 2; }
message SchemaItem { Schema schema = 1; }
message Definitions { repeated NamedSchema additional_properties = 1; }
message NamedSchema { string name = 1; Schema value = 2; }
message Schema { string ref = 1; string format = 2; string title = 3; string description = 4; string pattern = 13; repeated string required = 19; repeated Any enum = 20;
  AdditionalPropertiesItem additional_properties = 21; TypeItem type = 22; ItemsItem items = 23; Properties properties = 25; repeated NamedAny vendor_extension = 31; }
message AdditionalPropertiesItem { Schema schema = 1; bool boolean = 2; }
message TypeItem { repeated string value = 1; }
message ItemsItem { repeated Schema schema = 1; }
message Properties { repeated NamedSchema additional_properties = 1; }
message NamedAny { string name = 1; Any value = 2; }
message Any { string yaml = 2; }`;

interface DecodedSchema {
  readonly ref?: string;
  readonly type?: { readonly value: readonly string[] };
  readonly items?: { readonly schema: readonly DecodedSchema[] };
  readonly properties?: { readonly additionalProperties: readonly NamedDecoded[] };
  readonly additionalProperties?: { readonly schema?: DecodedSchema; readonly boolean?: boolean };
  readonly required?: readonly string[];
  readonly vendorExtension?: readonly { readonly name: string; readonly value: { readonly yaml: string } }[];
  readonly [word: string]: unknown;
}
interface NamedDecoded {
  readonly name: string;
  readonly value: DecodedSchema;
}

/** Back to JSON. */
function schemaOf(decoded: DecodedSchema): JsonObject {
  const { ref, type, items, properties, additionalProperties, vendorExtension = [], enum: values, ...rest } = decoded;
  return {
    ...(rest as JsonObject),
    ...(ref ? { $ref: ref } : {}),
    ...(values ? { enum: (values as { yaml: string }[]).map(({ yaml }) => JSON.parse(yaml) as Json) } : {}),
    ...(type ? { type: type.value[0]! } : {}),
    ...(items ? { items: schemaOf(items.schema[0]!) } : {}),
    ...(properties
      ? {
          properties: Object.fromEntries(
            (properties.additionalProperties ?? []).map(({ name, value }) => [name, schemaOf(value ?? {})]),
          ),
        }
      : {}),
    ...(additionalProperties
      ? { additionalProperties: additionalProperties.schema ? schemaOf(additionalProperties.schema) : true }
      : {}),
    ...Object.fromEntries(vendorExtension.map(({ name, value }) => [name, JSON.parse(value.yaml) as Json])),
  };
}

describe('OpenAPI v2', () => {
  const registry = registryWith([...crds, ...projectCrds]);
  const { ask, json } = asker(registry);

  test('is whole, and has what Terraform looks for', () => {
    const document = json('/openapi/v2');
    const definitions = document.definitions as Record<string, JsonObject>;
    expectWhole(document, '#/definitions/', definitions);
    expect(definitions['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta']?.properties).toHaveProperty('annotations');
    expect(definitions['dev.example.factory.v1.VMPool']?.['x-kubernetes-group-version-kind']).toEqual([
      { group, version: 'v1', kind: 'VMPool' },
    ]);
  });

  test('lets through what clients of v2 could not understand', () => {
    const definitions = json('/openapi/v2').definitions as Record<string, JsonObject>;
    const pool = definitions['dev.example.factory.v1.VMPool']?.properties as Record<string, JsonObject>;
    const spec = pool.spec?.properties as Record<string, JsonObject>;
    expect(spec.nullable).toEqual({});
    expect(spec.extra).not.toHaveProperty('type');
    expect(spec.memory).not.toHaveProperty('anyOf');
    expect(spec.replicas).toMatchObject({ type: 'integer', minimum: 0 });
  });

  test('says the same as protobuf, to a reader of gnostic’s messages', () => {
    const type = protobuf.parse(proto).root.lookupType('openapi.v2.Document');
    const message = type.decode(ask('/openapi/v2', gnostic).content as Buffer);
    const decoded = type.toObject(message) as {
      definitions: { additionalProperties: NamedDecoded[] };
      paths: {
        path: {
          name: string;
          value: Record<string, { operationId?: string; vendorExtension?: DecodedSchema['vendorExtension'] }>;
        }[];
      };
    };
    const { definitions, paths } = json('/openapi/v2') as {
      definitions: JsonObject;
      paths: Record<string, Record<string, JsonObject>>;
    };
    const numbers = /^(minimum|maximum|min[LIP]|max[LIP]|multipleOf|exclusive|uniqueItems)/;
    const withoutNumbers = (value: Json): Json => {
      if (Array.isArray(value)) return value.map(withoutNumbers);
      if (!isObject(value)) return value;
      return Object.fromEntries(
        Object.entries(value)
          .filter(([word, child]) => isObject(child) || !numbers.test(word))
          .map(([word, child]) => [word, withoutNumbers(child)]),
      );
    };
    const ours = Object.fromEntries(
      decoded.definitions.additionalProperties.map(({ name, value }) => [name, schemaOf(value)]),
    );
    expect(ours).toEqual(withoutNumbers(definitions));
    expect(decoded.paths.path.map(({ name }) => name)).toEqual(Object.keys(paths));
    for (const { name, value } of decoded.paths.path)
      for (const [method, operation] of Object.entries(value))
        if (method !== 'parameters') expect(operation.operationId).toBe(paths[name]?.[method]?.operationId);
  });
});
