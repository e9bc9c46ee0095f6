/**
 * What programs ask of an API server. Nothing here depends on more than a real Kubernetes API server with our CRDs offers.
 * Every method rejects with ApiError (lib/std/errors.ts) for an answer of the server, or with ServiceUnavailable or Timeout when
 * there was none; then the outcome of a write is unknown.
 */
import type { Namespace } from '#lib/api/core.ts';
import type { Draft, Kind, KubeObject } from '#lib/api/meta.ts';

export interface ObjectName {
  readonly name: string;
  readonly namespace?: string | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

export type Propagation = 'Background' | 'Foreground' | 'Orphan';

export interface DeleteOptions extends CallOptions {
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagation?: Propagation;
}

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** `initialEventsEnd`: what was there when the watch began has been told. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly initialEventsEnd?: boolean };

export interface WatchOptions extends ListOptions {
  /** Where it begins: behind this version, or, if empty, with all that is there, ended by a BOOKMARK (Kubernetes' WatchList). */
  readonly resourceVersion: string;
  readonly timeoutSeconds?: number;
}

/** A kind as discovery tells it. */
export interface ServedKind extends Kind {
  readonly verbs: readonly string[];
}

export interface Discovery {
  /** Every version of every kind; of one kind the version first that the server prefers. */
  readonly kinds: readonly ServedKind[];
  /** Group versions that did not answer: what they serve is unknown, not absent. */
  readonly failed: readonly string[];
}

export interface Client {
  /** What the server serves now: kinds come and go with their CustomResourceDefinitions. */
  discover(options?: CallOptions): Promise<Discovery>;
  get<T extends KubeObject>(kind: Kind<T>, at: ObjectName, options?: CallOptions): Promise<T>;
  /** All of them: pages of 500 behind the scenes. */
  list<T extends KubeObject>(kind: Kind<T>, options?: ListOptions): Promise<ObjectList<T>>;
  create<T extends KubeObject>(kind: Kind<T>, object: Draft<T>, options?: CallOptions): Promise<T>;
  /** Whole object; refused with Conflict unless metadata.resourceVersion is current. */
  update<T extends KubeObject>(kind: Kind<T>, object: T, options?: CallOptions): Promise<T>;
  /** Merge patch (RFC 7386). Give metadata.resourceVersion in it to be refused with Conflict on a race. */
  patch<T extends KubeObject>(kind: Kind<T>, at: ObjectName, patch: object, options?: CallOptions): Promise<T>;
  /** Whole status; refused with Conflict unless the object's resourceVersion is current. */
  updateStatus<T extends KubeObject>(kind: Kind<T>, object: T, options?: CallOptions): Promise<T>;
  patchStatus<T extends KubeObject>(kind: Kind<T>, at: ObjectName, patch: object, options?: CallOptions): Promise<T>;
  /** Replaces spec.finalizers of a namespace (its /finalize): the only way to change them. Refused with Conflict as update. */
  finalize(namespace: Namespace, options?: CallOptions): Promise<Namespace>;
  delete(kind: Kind, at: ObjectName, options?: DeleteOptions): Promise<void>;
  /**
   * Ends when the server ends it; rejects with Expired when the resourceVersion is too old. Servers before Kubernetes 1.32 refuse an
   * empty resourceVersion with Invalid: list first then.
   */
  watch<T extends KubeObject>(kind: Kind<T>, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
}
