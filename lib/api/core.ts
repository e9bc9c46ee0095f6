/** Kubernetes' own kinds, as far as we use them. */
import type { Condition, Kind, KubeObject } from './meta.ts';

export interface Namespace extends KubeObject {
  readonly spec?: { readonly finalizers?: readonly string[] };
  readonly status?: { readonly phase?: 'Active' | 'Terminating'; readonly conditions?: readonly Condition[] };
}

export interface Secret extends KubeObject {
  readonly type?: string;
  /** Values in base64. */
  readonly data?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}

export interface ObjectReference {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
}

export interface Event extends KubeObject {
  readonly involvedObject: ObjectReference;
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly count?: number;
  readonly firstTimestamp?: string;
  readonly lastTimestamp?: string;
  readonly source?: { readonly component?: string; readonly host?: string };
  readonly reportingComponent?: string;
  readonly reportingInstance?: string;
}

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

const core = (kind: string, plural: string, shortNames: readonly string[], namespaced = true) =>
  ({ group: '', version: 'v1', kind, plural, singular: kind.toLowerCase(), shortNames, namespaced }) as const;

export const Namespace: Kind<Namespace> = core('Namespace', 'namespaces', ['ns'], false);
export const Secret: Kind<Secret> = core('Secret', 'secrets', []);
export const ConfigMap: Kind<ConfigMap> = core('ConfigMap', 'configmaps', ['cm']);
export const Event: Kind<Event> = core('Event', 'events', ['ev']);
export const Lease: Kind<Lease> = { ...core('Lease', 'leases', []), group: 'coordination.k8s.io' };
/** Kinds come and go with these. */
export const CustomResourceDefinition: Kind = {
  ...core('CustomResourceDefinition', 'customresourcedefinitions', ['crd', 'crds'], false),
  group: 'apiextensions.k8s.io',
};

export const coreKinds: readonly Kind[] = [Namespace, Secret, ConfigMap, Event, Lease];
