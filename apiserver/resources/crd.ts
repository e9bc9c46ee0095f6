/** CustomResourceDefinitions: read from files, and turned into resources. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { compileJsonPath, fieldNames } from '#apiserver/present/jsonpath.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { allVerbs, type Column, type Resource, type ScalePaths } from './resource.ts';

interface CrdVersion {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly deprecated?: boolean;
  readonly deprecationWarning?: string;
  readonly schema?: { readonly openAPIV3Schema?: Schema };
  readonly subresources?: {
    readonly status?: object;
    readonly scale?: {
      readonly specReplicasPath: string;
      readonly statusReplicasPath: string;
      readonly labelSelectorPath?: string;
    };
  };
  readonly additionalPrinterColumns?: readonly Column[];
  readonly selectableFields?: readonly { readonly jsonPath: string }[];
}

/** apiextensions.k8s.io/v1 CustomResourceDefinition, as far as it is read here. */
export interface Crd {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: 'Namespaced' | 'Cluster';
    readonly names: {
      readonly kind: string;
      readonly listKind?: string;
      readonly plural: string;
      readonly singular?: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly CrdVersion[];
  };
}

const ageColumn: Column = {
  name: 'Age',
  type: 'date',
  description: 'When the object was created.',
  jsonPath: '.metadata.creationTimestamp',
};

/** All CustomResourceDefinitions in the YAML files of a folder, in the order of file names. Throws if a file holds anything else. */
export function readCrds(folder: string): Crd[] {
  const files = readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort();
  return files.flatMap((name) => readCrdFile(join(folder, name)));
}

export function readCrdFile(file: string): Crd[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).flatMap((document) => {
    const value = 'toJS' in document ? (document.toJS() as Crd | null) : null;
    if (value === null) return [];
    if (value.kind !== 'CustomResourceDefinition')
      throw new Error(`Cannot load ${file}: expected CustomResourceDefinitions only, found ${value.kind}`);
    return [value];
  });
}

/** One resource per served version. Throws for a definition that cannot be served, naming it. */
export function resourcesOf(crd: Crd): Resource[] {
  const { group, names, scope, versions } = crd.spec;
  const stored = versions.find((version) => version.storage);
  if (!stored) throw new Error(`Cannot serve ${crd.metadata.name}: none of its versions has storage: true`);
  return versions
    .filter((version) => version.served)
    .map((version) => ({
      group,
      version: version.name,
      storageVersion: stored.name,
      kind: names.kind,
      listKind: names.listKind ?? `${names.kind}List`,
      plural: names.plural,
      singular: names.singular ?? names.kind.toLowerCase(),
      shortNames: names.shortNames ?? [],
      categories: names.categories ?? [],
      namespaced: scope === 'Namespaced',
      verbs: allVerbs,
      schema: version.schema?.openAPIV3Schema ?? {},
      storageSchema: stored.schema?.openAPIV3Schema ?? {},
      columns: columnsOf(version, crd),
      selectableFields: selectableOf(version),
      status: version.subresources?.status !== undefined,
      builtin: false,
      ...scaleOf(version),
      ...deprecationOf(version, group, names.kind),
    }));
}

function columnsOf(version: CrdVersion, crd: Crd): readonly Column[] {
  const columns = version.additionalPrinterColumns ?? [ageColumn];
  for (const column of columns)
    try {
      compileJsonPath(column.jsonPath);
    } catch (error) {
      throw new Error(`Cannot serve ${crd.metadata.name}: column ${column.name}`, { cause: error });
    }
  return columns;
}

function selectableOf(version: CrdVersion): Resource['selectableFields'] {
  return (version.selectableFields ?? []).map(({ jsonPath }) => ({
    label: jsonPath.replace(/^\./, ''),
    path: fieldNames(jsonPath),
  }));
}

function scaleOf(version: CrdVersion): { scale?: ScalePaths } {
  const scale = version.subresources?.scale;
  if (!scale) return {};
  return {
    scale: {
      specReplicas: fieldNames(scale.specReplicasPath),
      statusReplicas: fieldNames(scale.statusReplicasPath),
      ...(scale.labelSelectorPath ? { labelSelector: fieldNames(scale.labelSelectorPath) } : {}),
    },
  };
}

function deprecationOf(version: CrdVersion, group: string, kind: string): { deprecation?: string } {
  if (!version.deprecated) return {};
  return { deprecation: version.deprecationWarning ?? `${group}/${version.name} ${kind} is deprecated` };
}

/** The definition as an object that clients can list: names accepted, established, nothing stored. */
export function crdObject(crd: Crd, now: string, uid: string): StoredObject {
  const condition = (type: string, reason: string, message: string) => ({
    type,
    status: 'True',
    lastTransitionTime: now,
    reason,
    message,
  });
  const definition = JSON.parse(JSON.stringify(crd)) as JsonObject;
  const stored = crd.spec.versions.filter((version) => version.storage).map((version) => version.name);
  return {
    ...definition,
    apiVersion: crd.apiVersion,
    kind: crd.kind,
    metadata: { ...crd.metadata, uid, creationTimestamp: now, generation: 1, resourceVersion: '1' },
    status: {
      acceptedNames: JSON.parse(JSON.stringify(crd.spec.names)) as JsonObject,
      storedVersions: stored,
      conditions: [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ],
    },
  };
}
