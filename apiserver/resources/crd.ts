/** apiextensions.k8s.io/v1 CustomResourceDefinition: its shape, and reading it from files. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import type { Column } from './resource.ts';

export interface CrdNames {
  readonly plural: string;
  readonly singular?: string;
  readonly kind: string;
  readonly listKind?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
}

export interface CrdVersion {
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

export interface CrdSpec {
  readonly group: string;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly names: CrdNames;
  readonly versions: readonly CrdVersion[];
  readonly conversion?: { readonly strategy: string };
  readonly preserveUnknownFields?: boolean;
}

export interface CrdCondition {
  readonly type: string;
  readonly status: string;
  readonly lastTransitionTime?: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface CrdStatus {
  readonly acceptedNames?: CrdNames;
  readonly conditions?: readonly CrdCondition[];
  readonly storedVersions?: readonly string[];
}

/** As somebody wrote it. */
export interface Crd {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: CrdSpec;
}

/** As it is stored: its schema and its rules have accepted it. */
export interface StoredCrd {
  readonly metadata: StoredObject['metadata'];
  readonly spec: CrdSpec;
  readonly status?: CrdStatus;
}

/** A stored definition as what it is. */
export function asCrd(object: StoredObject): StoredCrd {
  return object as unknown as StoredCrd;
}

export function isTrue(status: CrdStatus | undefined, type: string): boolean {
  return status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;
}

/** All CustomResourceDefinitions in the YAML files of a folder, in the order of file names. Throws if a file holds anything else. */
export function readCrds(folder: string): Crd[] {
  const files = readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort();
  return files.flatMap((name) => readCrdFile(join(folder, name)));
}

export function readCrdFile(file: string): Crd[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).flatMap((document) => {
    const value = 'toJS' in document ? (document.toJS() as (Crd & JsonObject) | null) : null;
    if (value === null) return [];
    if (value.kind !== 'CustomResourceDefinition')
      throw new Error(`Cannot load ${file}: expected CustomResourceDefinitions only, found ${value.kind}`);
    return [value];
  });
}
