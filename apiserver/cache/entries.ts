import type { Cached } from './events.ts';

/** Objects by key, also in order of keys. */
export class Entries<T> {
  readonly #byKey = new Map<string, Cached<T>>();
  /** Sorted when it is needed: most writes change an object that is there, which leaves the order as it is. */
  #sorted: string[] | undefined;

  get size(): number {
    return this.#byKey.size;
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  get(key: string): Cached<T> | undefined {
    return this.#byKey.get(key);
  }

  set(entry: Cached<T>): void {
    if (!this.#byKey.has(entry.key)) this.#sorted = undefined;
    this.#byKey.set(entry.key, entry);
  }

  delete(key: string): void {
    if (this.#byKey.delete(key)) this.#sorted = undefined;
  }

  /** In order of keys, those whose key begins with `prefix`. */
  list(prefix: string): Cached<T>[] {
    this.#sorted ??= [...this.#byKey.keys()].sort();
    const keys = this.#sorted;
    const found: Cached<T>[] = [];
    for (let i = firstAtLeast(keys, prefix); i < keys.length && keys[i]!.startsWith(prefix); i++)
      found.push(this.#byKey.get(keys[i]!)!);
    return found;
  }
}

function firstAtLeast(keys: readonly string[], wanted: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
