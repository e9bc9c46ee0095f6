/**
 * Which hosts have changed, told to any number of readers when they ask and not before: an index that nobody uses now costs nothing.
 */
export class Changes {
  /** Of the first name in the list, counted from the beginning. */
  #first = 0;
  #names: string[] = [];

  /** Where a reader is that has read everything so far. */
  get end(): number {
    return this.#first + this.#names.length;
  }

  /** `keep` bounds the list: readers further behind have to look at everything. */
  add(hostname: string, keep: number): void {
    this.#names.push(hostname);
    if (this.#names.length <= 2 * keep) return;
    this.#first += this.#names.length - keep;
    this.#names = this.#names.slice(-keep);
  }

  /** Names since that place, some of them more than once; undefined if they are not kept any more. */
  since(place: number): readonly string[] | undefined {
    return place < this.#first ? undefined : this.#names.slice(place - this.#first);
  }
}
