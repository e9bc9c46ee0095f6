/**
 * Guests that were told to freeze their file systems, and the promise that each is told to thaw them: by a timer of our own, whatever happens
 * to the snapshot, and by the next worker if this one is killed. What may be frozen is journalled before the guest hears of it.
 */
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { type Hypervisor, MachineError } from '../hypervisor.ts';
import type { Journal } from '../journal/journal.ts';
import type { Freezes } from './freezes.ts';

/** Nobody is kept from writing for longer. Windows gives up by itself after as much. */
export const frozenMs = 10_000;
const pingMs = 3_000;
const thawMs = 5_000;
const retry = { firstMs: 500, maxMs: 10_000 } as const;

export interface FrozenDeps {
  readonly journal: Pick<Journal, 'freezes' | 'hasThawed' | 'frozen'>;
  readonly hypervisor: Pick<Hypervisor, 'agent' | 'get'>;
  readonly freezes: Pick<Freezes, 'begin' | 'end'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What came of asking a guest to freeze. */
export type Freezing = 'Frozen' | 'NoGuestAgent' | 'QuiesceTimeout';

interface Thawing {
  /** Settles with the first try: true if the guest had stayed frozen until then. */
  readonly first: Promise<boolean>;
  readonly all: Promise<void>;
}

export class FrozenGuests implements AsyncDisposable {
  readonly #deps: FrozenDeps;
  readonly #stop = new AbortController();
  /** By uid, those under way. */
  readonly #thawing = new Map<string, Thawing>();
  readonly #timers = new Map<string, Disposable>();

  /** Thaws at once whatever an earlier worker may have left frozen. */
  constructor(deps: FrozenDeps) {
    this.#deps = deps;
    for (const uid of deps.journal.frozen()) {
      deps.freezes.begin(uid);
      void this.thaw(uid);
    }
  }

  /** The guests of a worker that leaves are its successor's to thaw. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
    await Promise.all([...this.#thawing.values()].map(async ({ all }) => await all));
  }

  /** Whatever it says, `thaw` is to be called then. */
  async freeze(uid: string): Promise<Freezing> {
    const { journal, clock, log } = this.#deps;
    // After one try the guest is thawed, or its agent does not answer.
    await this.#thawing.get(uid)?.first;
    if (this.#deps.journal.frozen().includes(uid)) return 'NoGuestAgent';
    try {
      await this.#ask(uid, 'guest-ping', pingMs);
    } catch (error) {
      if (!(error instanceof MachineError)) throw error;
      return 'NoGuestAgent';
    }
    journal.freezes(uid);
    this.#deps.freezes.begin(uid);
    this.#timers.set(
      uid,
      clock.timeout(() => void this.thaw(uid), frozenMs),
    );
    try {
      const count = await this.#ask(uid, 'guest-fsfreeze-freeze', frozenMs);
      return typeof count === 'number' && count > 0 ? 'Frozen' : 'NoGuestAgent';
    } catch (error) {
      if (!(error instanceof MachineError)) throw error;
      log.warn('A guest did not freeze its file systems', { uid, reason: error.message });
      return error.message.includes('in time') ? 'QuiesceTimeout' : 'NoGuestAgent';
    }
  }

  /**
   * True if the guest was frozen until now. Gives up waiting after the first try, and goes on trying for as long as the machine runs.
   */
  async thaw(uid: string): Promise<boolean> {
    this.#timers.get(uid)?.[Symbol.dispose]();
    this.#timers.delete(uid);
    const known = this.#thawing.get(uid);
    if (known !== undefined) {
      await known.first;
      return false;
    }
    if (!this.#deps.journal.frozen().includes(uid)) return false;
    const { promise: first, resolve } = Promise.withResolvers<boolean>();
    const all = this.#thawUntilDone(uid, resolve).finally(() => this.#thawing.delete(uid));
    this.#thawing.set(uid, { first, all });
    return await first;
  }

  async #thawUntilDone(uid: string, tried: (wasFrozen: boolean) => void): Promise<void> {
    const { journal, clock, log } = this.#deps;
    for (let delayMs: number = retry.firstMs; ; delayMs = Math.min(retry.maxMs, 2 * delayMs)) {
      const thawed = await this.#tryThaw(uid);
      if (thawed !== undefined) {
        journal.hasThawed(uid);
        this.#deps.freezes.end(uid);
        log.info('A guest has thawed its file systems', { uid, wasFrozen: thawed });
      }
      tried(thawed ?? false);
      if (thawed !== undefined) return;
      await clock.sleep(delayMs, this.#stop.signal).catch(() => undefined); // stopped: seen below
      if (this.#stop.signal.aborted) return;
    }
  }

  /** undefined if it has to be tried again. A machine that went off is frozen no more. */
  async #tryThaw(uid: string): Promise<boolean | undefined> {
    const { hypervisor, log } = this.#deps;
    try {
      const domain = await hypervisor.get(uid);
      if (!domain || domain.power === 'Off') return false;
      return Number(await this.#ask(uid, 'guest-fsfreeze-thaw', thawMs)) > 0;
    } catch (error) {
      log.warn('A guest was not thawed yet: it is tried again', { uid, reason: messageOf(error) });
      return undefined;
    }
  }

  async #ask(uid: string, execute: string, deadlineMs: number): Promise<unknown> {
    return await this.#deps.hypervisor.agent(uid, { execute }, deadlineMs);
  }
}
