/** Keys with a time at which they are due, earliest first: a binary heap. A key is in it once, with its earliest time. */
interface Entry {
  readonly key: string;
  readonly dueMs: number;
}

export class Delays {
  readonly #heap: Entry[] = [];
  /** The time that counts for a key; entries of the heap that disagree were superseded and are skipped. */
  readonly #due = new Map<string, number>();

  get size(): number {
    return this.#due.size;
  }

  add(key: string, dueMs: number): void {
    const known = this.#due.get(key);
    if (known !== undefined && known <= dueMs) return;
    this.#due.set(key, dueMs);
    this.#heap.push({ key, dueMs });
    this.#rise(this.#heap.length - 1);
  }

  delete(key: string): void {
    this.#due.delete(key);
    this.#skip();
  }

  /** When the first key is due; undefined if there is none. */
  nextMs(): number | undefined {
    return this.#heap[0]?.dueMs;
  }

  /** Takes out every key that is due at `nowMs`. */
  take(nowMs: number): readonly string[] {
    const keys: string[] = [];
    for (let first = this.#heap[0]; first && first.dueMs <= nowMs; first = this.#heap[0]) {
      keys.push(first.key);
      this.delete(first.key);
    }
    return keys;
  }

  /** Drops superseded entries from the top, so that nextMs tells the truth. */
  #skip(): void {
    for (let first = this.#heap[0]; first && this.#due.get(first.key) !== first.dueMs; first = this.#heap[0]) {
      const last = this.#heap.pop()!;
      if (this.#heap.length > 0) {
        this.#heap[0] = last;
        this.#sink(0);
      }
    }
  }

  #rise(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#heap[parent]!.dueMs <= this.#heap[at]!.dueMs) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(from: number): void {
    for (let at = from; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < this.#heap.length && this.#heap[child]!.dueMs < this.#heap[least]!.dueMs) least = child;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #swap(a: number, b: number): void {
    [this.#heap[a], this.#heap[b]] = [this.#heap[b]!, this.#heap[a]!];
  }
}
