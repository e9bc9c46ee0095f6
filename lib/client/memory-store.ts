/** The storage of the in-memory API: objects by kind and key, one revision per write, and a bounded log for watches. */
import { type KubeObject, keyOf } from '#lib/api/meta.ts';
import { ApiError } from '#lib/std/errors.ts';

export interface Change {
  readonly revision: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** For DELETED the last state, with the revision of the deletion. */
  readonly object: KubeObject;
  readonly previous?: KubeObject;
}

/** Changes that a watch can be resumed from. */
const logLimit = 100_000;

/** Frozen through and through: who mutates an object that others share is told at once. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

export class MemoryStore {
  #revision = 1;
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #log: { readonly id: string; readonly change: Change }[] = [];
  /** Revisions up to this one are forgotten. */
  #compacted = 1;
  /** By kind, as far as somebody waits. */
  readonly #changed = new Map<string, PromiseWithResolvers<void>>();

  get revision(): number {
    return this.#revision;
  }

  get(id: string, key: string): KubeObject | undefined {
    return this.#objects.get(id)?.get(key);
  }

  /** Sorted by key, as a real store gives them. */
  list(id: string): readonly KubeObject[] {
    const objects = this.#objects.get(id) ?? new Map<string, KubeObject>();
    return [...objects.keys()].sort().map((key) => objects.get(key)!);
  }

  put(id: string, object: KubeObject): KubeObject {
    const { key, stored } = this.#stamp(object);
    const objects = this.#objects.get(id) ?? new Map<string, KubeObject>();
    this.#objects.set(id, objects);
    const previous = objects.get(key);
    objects.set(key, stored);
    this.#append(id, previous ? { type: 'MODIFIED', object: stored, previous } : { type: 'ADDED', object: stored });
    return stored;
  }

  remove(id: string, object: KubeObject): KubeObject {
    const { key, stored } = this.#stamp(object);
    const previous = this.#objects.get(id)?.get(key);
    this.#objects.get(id)?.delete(key);
    this.#append(id, { type: 'DELETED', object: stored, ...(previous && { previous }) });
    return stored;
  }

  /** Changes after `revision`. Throws Expired if some of them are forgotten. */
  changesAfter(id: string, revision: number): readonly Change[] {
    if (revision < this.#compacted)
      throw new ApiError('Expired', `too old resource version: ${revision} (${this.#compacted})`);
    const changes: Change[] = [];
    // Every write is one revision, so the place in the log follows from it.
    for (let at = revision - this.#compacted; at < this.#log.length; at++)
      if (this.#log[at]!.id === id) changes.push(this.#log[at]!.change);
    return changes;
  }

  /** Forgets every change so far: a watch from before is Expired. */
  compact(): void {
    this.#log.length = 0;
    this.#compacted = this.#revision;
  }

  /** Resolves at the next change of this kind, or when `wake` is called. */
  nextChange(id: string): Promise<void> {
    const changed = this.#changed.get(id) ?? Promise.withResolvers<void>();
    this.#changed.set(id, changed);
    return changed.promise;
  }

  /** Wakes who waits for this kind; for any, unless told. */
  wake(id?: string): void {
    for (const each of id === undefined ? [...this.#changed.keys()] : [id]) {
      this.#changed.get(each)?.resolve();
      this.#changed.delete(each);
    }
  }

  #stamp(object: KubeObject): { key: string; stored: KubeObject } {
    this.#revision += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#revision) };
    return { key: keyOf(object), stored: freeze({ ...object, metadata }) };
  }

  #append(id: string, change: Omit<Change, 'revision'>): void {
    this.#log.push({ id, change: { ...change, revision: this.#revision } });
    if (this.#log.length > logLimit) this.#compacted += this.#log.splice(0, logLimit / 2).length;
    this.wake(id);
  }
}
