/** From a CustomResourceDefinition to the resources that it defines. */
import { fieldNames } from '#apiserver/present/jsonpath.ts';
import type { Crd, CrdNames, CrdVersion } from './crd.ts';
import { allVerbs, type Column, type Resource, type ScalePaths } from './resource.ts';

const ageColumn: Column = {
  name: 'Age',
  type: 'date',
  description: 'When the object was created.',
  jsonPath: '.metadata.creationTimestamp',
};

interface How {
  /** Those that no other definition holds; what the definition asks for unless told. */
  readonly names?: CrdNames;
  /** Being deleted: nothing new may be created. */
  readonly terminating?: boolean;
}

/** One resource per served version. Throws for a definition that its rules would have refused. */
export function resourcesOf(crd: Pick<Crd, 'spec'>, how: How = {}): Resource[] {
  return crd.spec.versions.filter(({ served }) => served).map((version) => resourceOf(crd, version, how));
}

/** The resource in the version that is stored, served or not. */
export function storedResourceOf(crd: Pick<Crd, 'spec'>): Resource {
  return resourceOf(crd, storedVersion(crd), {});
}

function storedVersion({ spec }: Pick<Crd, 'spec'>): CrdVersion {
  const stored = spec.versions.find(({ storage }) => storage);
  if (stored) return stored;
  throw new Error(`Cannot serve ${spec.names.plural}.${spec.group}: none of its versions has storage: true`);
}

function resourceOf(crd: Pick<Crd, 'spec'>, version: CrdVersion, how: How): Resource {
  const { group, scope, names: wanted } = crd.spec;
  const stored = storedVersion(crd);
  const names = how.names ?? wanted;
  return {
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
    schemas: schemasOf(crd),
    columns: version.additionalPrinterColumns ?? [ageColumn],
    selectableFields: selectableOf(version),
    status: version.subresources?.status !== undefined,
    builtin: false,
    ...(how.terminating ? { terminating: true } : {}),
    ...scaleOf(version),
    ...deprecationOf(version, group, names.kind),
  };
}

function schemasOf({ spec }: Pick<Crd, 'spec'>): Resource['schemas'] {
  const served = spec.versions.filter((version) => version.served);
  return new Map(served.map(({ name, schema }) => [name, schema?.openAPIV3Schema ?? {}]));
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
