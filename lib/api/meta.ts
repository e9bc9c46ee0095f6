/** The parts that every object has. Field meanings are those of Kubernetes' metav1.ObjectMeta. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  /** Revision of the store, opaque to clients. */
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly generateName?: string;
}

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration?: number;
  readonly lastTransitionTime: string;
  readonly reason: string;
  readonly message: string;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

export interface ObjectWithStatus extends KubeObject {
  readonly status?: { readonly observedGeneration?: number; readonly conditions?: readonly Condition[] };
}

/** An object as a client sends it: the server fills in the rest of metadata. */
export type Draft<T extends KubeObject> = Omit<T, 'metadata' | 'spec' | 'status'> & {
  readonly metadata: { readonly name?: string } & Partial<Omit<ObjectMeta, 'name'>>;
} & (T extends { readonly spec: infer S } ? { readonly spec: Defaulted<S> } : unknown) & { readonly status?: unknown };

/** Fields that the server defaults may be left out; checked by the server, so no deeper than Partial here. */
type Defaulted<S> = { readonly [K in keyof S]?: S[K] extends object ? Defaulted<S[K]> : S[K] };

/**
 * Names one kind: where it is served and what it is called. Generated for the kinds in crds/, written by hand for Kubernetes' own.
 * The type parameter ties the objects to it: `client.list(VirtualMachine)` is typed.
 */
export interface Kind<T extends KubeObject = KubeObject> {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  /** Paths that field selectors may name besides metadata.name and metadata.namespace. */
  readonly selectableFields?: readonly string[];
  /** Objects are asked for as metav1.PartialObjectMetadata: no spec, no status. For whoever only needs to know what there is. */
  readonly metadataOnly?: boolean;
  /** Never there at run time; carries the type only. */
  readonly example?: T;
}

/** Group and version as written in objects: `v1` for Kubernetes' core group. */
export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** `namespace/name`, or the name alone for objects of the whole cluster. The key of queues and caches. */
export function keyOf(object: { readonly metadata: { readonly namespace?: string; readonly name: string } }): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

/** Takes apart what keyOf made. */
export function splitKey(key: string): { namespace?: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The reference by which a child names the object that made it. */
export function ownerReference(owner: KubeObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true };
}

/** The controlling owner, if there is one. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller);
}
