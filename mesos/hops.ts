/** Following redirects from one master to another, a few times. */
const maxHops = 4;

export class Hops {
  #count = 0;
  #target: string | undefined;

  /** Origin that the redirects led to; undefined where there were none. */
  get target(): string | undefined {
    return this.#target;
  }

  /** `location` as Mesos writes it: `//host:port/path`, to be read with the scheme of `from`. Throws, and forgets all, when there is none or it is one too many. */
  follow(from: string, location: string | undefined): void {
    if (location === undefined || ++this.#count > maxHops) {
      this.forget();
      throw new Error(`Master ${from} does not lead, and ${maxHops} redirects led to no master that does`);
    }
    this.#target = new URL(location, from).origin;
  }

  arrived(): void {
    this.#count = 0;
  }

  forget(): void {
    this.#count = 0;
    this.#target = undefined;
  }
}
