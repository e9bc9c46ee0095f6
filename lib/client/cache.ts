/** Read side of an informer: objects as last heard of. Never mutate what comes out. */
import type { Kind, KubeObject } from '#lib/api/meta.ts';

export interface Cache<T extends KubeObject> {
  readonly kind: Kind<T>;
  /** By `namespace/name` or `name`, as keyOf makes it. */
  get(key: string): T | undefined;
  byUid(uid: string): T | undefined;
  list(namespace?: string): readonly T[];
  /** Objects for which the index `name` gave `value`. Indexes are declared when the informer is made. */
  by(index: string, value: string): readonly T[];
  /** How many `by` would give, without gathering them. */
  count(index: string, value: string): number;
}

/** Index name -> the values under which an object is found. Pure. */
export type Indexes<T extends KubeObject> = Readonly<Record<string, (object: T) => readonly string[]>>;
