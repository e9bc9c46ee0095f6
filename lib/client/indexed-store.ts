/** Objects of one kind in memory, found by key, uid, namespace and any number of indexes that are kept up to date with every change. */
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Cache, Indexes } from './cache.ts';

interface Index<T> {
  readonly valuesOf: (object: T) => readonly string[];
  readonly found: Map<string, Map<string, T>>;
}

const everyKind = {
  '': ({ metadata }: KubeObject) => [metadata.namespace ?? ''],
  owner: ({ metadata }: KubeObject) => (metadata.ownerReferences ?? []).map(({ uid }) => uid),
} as const;
const byNamespace = '';

export class IndexedStore<T extends KubeObject> implements Cache<T> {
  readonly kind: Kind<T>;
  readonly #objects = new Map<string, T>();
  readonly #keys = new Map<string, string>();
  readonly #indexes = new Map<string, Index<T>>();
  #views = 0;

  constructor(kind: Kind<T>) {
    this.kind = kind;
    for (const [name, valuesOf] of Object.entries(everyKind)) this.#indexes.set(name, { valuesOf, found: new Map() });
  }

  /** A reader with indexes of its own: two users of one store may call different indexes by one name. */
  view(indexes: Indexes<T>): Cache<T> {
    this.#views += 1;
    const names = new Map([['owner', 'owner']]);
    for (const [name, valuesOf] of Object.entries(indexes)) {
      names.set(name, `${this.#views}:${name}`);
      this.#addIndex(`${this.#views}:${name}`, valuesOf);
    }
    return {
      kind: this.kind,
      get: (key) => this.get(key),
      byUid: (uid) => this.byUid(uid),
      list: (namespace) => this.list(namespace),
      by: (index, value) => this.by(names.get(index) ?? `unknown ${index}`, value),
      count: (index, value) => this.count(names.get(index) ?? `unknown ${index}`, value),
    };
  }

  get size(): number {
    return this.#objects.size;
  }

  keys(): readonly string[] {
    return [...this.#objects.keys()];
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  byUid(uid: string): T | undefined {
    const key = this.#keys.get(uid);
    return key === undefined ? undefined : this.#objects.get(key);
  }

  list(namespace?: string): readonly T[] {
    return namespace === undefined ? [...this.#objects.values()] : this.by(byNamespace, namespace);
  }

  by(index: string, value: string): readonly T[] {
    return [...(this.#found(index, value)?.values() ?? [])];
  }

  count(index: string, value: string): number {
    return this.#found(index, value)?.size ?? 0;
  }

  #found(index: string, value: string): ReadonlyMap<string, T> | undefined {
    const known = this.#indexes.get(index);
    if (!known)
      throw new Error(`The cache of ${this.kind.kind} has no index "${index}": declare it where the cache is made`);
    return known.found.get(value);
  }

  /** Gives what was there before. */
  set(object: T): T | undefined {
    const key = keyOf(object);
    const old = this.delete(key);
    this.#objects.set(key, object);
    this.#keys.set(object.metadata.uid, key);
    for (const index of this.#indexes.values()) insert(index, key, object);
    return old;
  }

  delete(key: string): T | undefined {
    const old = this.#objects.get(key);
    if (!old) return undefined;
    this.#objects.delete(key);
    this.#keys.delete(old.metadata.uid);
    for (const index of this.#indexes.values()) remove(index, key, old);
    return old;
  }

  #addIndex(name: string, valuesOf: (object: T) => readonly string[]): void {
    const index: Index<T> = { valuesOf, found: new Map() };
    for (const [key, object] of this.#objects) insert(index, key, object);
    this.#indexes.set(name, index);
  }
}

function insert<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const found = index.found.get(value) ?? new Map<string, T>();
    index.found.set(value, found.set(key, object));
  }
}

function remove<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const found = index.found.get(value);
    found?.delete(key);
    if (found?.size === 0) index.found.delete(value);
  }
}
