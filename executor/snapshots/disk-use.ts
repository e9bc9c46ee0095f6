/**
 * Who may touch the disk file of a machine that is off: one at a time, and whoever starts or removes the machine first. A copy that is under
 * way for a snapshot gives way at once, because nothing that is wanted is kept waiting for it.
 */

/** The reason of the signal of work that had to give way. */
export class DiskNeededError extends Error {
  constructor() {
    super('The machine was started or removed meanwhile');
    this.name = 'DiskNeededError';
  }
}

interface Use {
  /** Settles when everybody so far has let go. */
  tail: Promise<void>;
  /** Starts and removals under way and waiting. */
  needed: number;
  /** Everybody who has it or waits for it. */
  holders: number;
  yielding: AbortController | undefined;
}

export class DiskUse {
  readonly #uses = new Map<string, Use>();

  /** For the machine itself: whoever copies stops. */
  async first<T>(uid: string, work: () => Promise<T>): Promise<T> {
    const use = this.#of(uid);
    use.needed += 1;
    use.yielding?.abort(new DiskNeededError());
    try {
      return await this.#alone(uid, work);
    } finally {
      use.needed -= 1;
    }
  }

  /** For copies: the work has to heed the signal. Rejects with DiskNeededError if it cannot have the disk. */
  async yielding<T>(uid: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return await this.#alone(uid, async () => {
      const use = this.#of(uid);
      signal.throwIfAborted();
      if (use.needed > 0) throw new DiskNeededError();
      use.yielding = new AbortController();
      const either = AbortSignal.any([signal, use.yielding.signal]);
      try {
        return await work(either);
      } catch (error) {
        throw either.aborted ? either.reason : error;
      } finally {
        use.yielding = undefined;
      }
    });
  }

  #of(uid: string): Use {
    const known = this.#uses.get(uid);
    if (known) return known;
    const use: Use = { tail: Promise.resolve(), needed: 0, holders: 0, yielding: undefined };
    this.#uses.set(uid, use);
    return use;
  }

  async #alone<T>(uid: string, work: () => Promise<T>): Promise<T> {
    const use = this.#of(uid);
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = use.tail;
    use.tail = promise;
    use.holders += 1;
    await before;
    try {
      return await work();
    } finally {
      resolve();
      use.holders -= 1;
      if (use.holders === 0) this.#uses.delete(uid);
    }
  }
}
