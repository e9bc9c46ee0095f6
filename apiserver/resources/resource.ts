/** One kind as it is served: everything the generic code needs to know of it. */
import type { Answer, Call } from '#apiserver/http/call.ts';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

export const allVerbs: readonly Verb[] = [
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'create',
  'update',
  'watch',
];

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format?: string;
  readonly description?: string;
  readonly jsonPath: string;
  readonly priority?: number;
}

/** A column of one of Kubernetes' own kinds that no path can tell. */
export interface DrawnColumn extends Omit<Column, 'jsonPath'> {
  readonly draw: (object: JsonObject, nowMs: number) => Json;
}

/** Makes one resource show the objects of another, under other names of fields. Pure; neither changes what it is given. */
export interface View {
  readonly of: Resource;
  readonly fromStored: (stored: JsonObject) => JsonObject;
  readonly toStored: (object: JsonObject) => JsonObject;
}

/** Where the three figures of autoscaling/v1 Scale stand in the object. */
export interface ScalePaths {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  readonly labelSelector?: readonly string[];
}

/** A field besides metadata.name and metadata.namespace that field selectors may ask for. */
export interface SelectableField {
  readonly label: string;
  readonly path: readonly string[];
}

export interface Resource {
  /** Empty for Kubernetes' core group. */
  readonly group: string;
  readonly version: string;
  /** The version that is stored; another version of the same kind is the same objects under another apiVersion. */
  readonly storageVersion: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly Verb[];
  readonly schema: Schema;
  readonly storageSchema: Schema;
  /** Of all versions that are served, by version. */
  readonly schemas: ReadonlyMap<string, Schema>;
  /** One called Name stands where the resource wants it; else the name comes first. */
  readonly columns: readonly (Column | DrawnColumn)[];
  readonly selectableFields: readonly SelectableField[];
  /** Whether /status is served apart, so that the main path leaves status alone and the other way round. */
  readonly status: boolean;
  readonly scale?: ScalePaths;
  /** Only namespaces: spec.finalizers is written through /finalize. */
  readonly finalize?: boolean;
  /** One of Kubernetes' own kinds: strategic merge patches are allowed. */
  readonly builtin: boolean;
  /** Of Kubernetes' own kinds, one that does as custom kinds do: see hasGeneration. */
  readonly generations?: boolean;
  /** Its objects are those of another resource, where they are stored. */
  readonly view?: View;
  /** Objects go away by themselves this long after the last write. */
  readonly ttlSeconds?: number;
  /** Sent as a warning with every answer. */
  readonly deprecation?: string;
  /** Its definition is being deleted, and its objects with it: nothing new may be created. */
  readonly terminating?: boolean;
  /** Nothing of it is stored: an object is a question, which this answers at once. */
  readonly answer?: Answering;
}

export type Answering = (context: ServerContext, call: Call) => Promise<Answer>;

export function apiVersionOf(resource: Pick<Resource, 'group' | 'version'>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** `vmpools.computefactory.io`, or `secrets` in the core group: how messages name a resource. */
export function qualifiedName(resource: Pick<Resource, 'group' | 'plural'>): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
}

/** `VMPool.computefactory.io`, or `Secret`: how messages about invalid fields name a kind. */
export function qualifiedKind(resource: Pick<Resource, 'group' | 'kind'>): string {
  return resource.group === '' ? resource.kind : `${resource.kind}.${resource.group}`;
}

/** Custom kinds count their generations, and a PUT must say which resourceVersion it is about. Kubernetes' older kinds do neither. */
export function hasGeneration({ builtin, generations }: Resource): boolean {
  return !builtin || generations === true;
}

/** Only these have tokens, at /token. */
export function isServiceAccount({ group, plural }: Pick<Resource, 'group' | 'plural'>): boolean {
  return group === '' && plural === 'serviceaccounts';
}
