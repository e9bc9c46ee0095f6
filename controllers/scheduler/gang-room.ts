/**
 * Room kept for the gang whose turn it is: what fits of it is held in the books until the rest fits, too, so that smaller machines do not take
 * every hole before it. One gang at a time, so that no two can wait for each other; for as long as its timeout, and then not for as
 * long again; and given up at once to machines of higher priority. Nothing of it is in Mesos or in the store: it ends with the process.
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Gang } from './gangs.ts';
import type { Ledger } from './ledger.ts';
import type { PlacementAsk } from './placement.ts';

/** A machine and where it would go. */
export interface Seat {
  readonly uid: string;
  readonly hostname: string;
  readonly ask: PlacementAsk;
}

interface Kept {
  readonly key: string;
  readonly priority: number;
  /** Monotonic: since when something is kept for it. */
  readonly sinceMs: number;
  readonly holds: readonly string[];
}

const holdOf = (uid: string) => `hold/${uid}`;

export class GangRoom {
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  #kept: Kept | undefined;
  /** Monotonic: nothing is kept for these before. */
  readonly #pausedUntilMs = new Map<string, number>();

  constructor(ledger: Ledger, clock: Clock) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** Its turn: what was kept for it is free for it. */
  open({ key }: Gang): void {
    if (this.#kept?.key === key) this.#letGo();
  }

  /** It does not fit as a whole. Keeps room for the part that does, if it may. */
  keep({ key, timeoutMs, waiting }: Gang, seats: readonly Seat[]): void {
    const nowMs = this.#clock.monotonic();
    const isOther = this.#kept !== undefined && this.#kept.key !== key;
    if (isOther || (this.#pausedUntilMs.get(key) ?? 0) > nowMs) return;
    const sinceMs = this.#kept?.sinceMs ?? nowMs;
    if (nowMs - sinceMs > timeoutMs) {
      this.#kept = undefined;
      this.#pausedUntilMs.set(key, nowMs + timeoutMs);
      return;
    }
    for (const { uid, hostname, ask } of seats)
      this.#ledger.occupy(holdOf(uid), hostname, ask.room, ask.member, 'Held');
    const priority = Math.max(...waiting.map(({ spec }) => spec.priority));
    this.#kept = { key, priority, sinceMs, holds: seats.map(({ uid }) => holdOf(uid)) };
  }

  /** True if there was something to give up for a machine of this priority. */
  yieldTo(priority: number): boolean {
    if (!this.#kept || this.#kept.holds.length === 0 || this.#kept.priority >= priority) return false;
    this.#letGo();
    return true;
  }

  /** Before each round: the gangs that wait now. */
  look(waiting: ReadonlyMap<string, Gang>): void {
    for (const key of this.#pausedUntilMs.keys()) if (!waiting.has(key)) this.#pausedUntilMs.delete(key);
    if (!this.#kept || waiting.has(this.#kept.key)) return;
    this.#letGo();
    this.#kept = undefined;
  }

  #letGo(): void {
    if (!this.#kept) return;
    for (const hold of this.#kept.holds) this.#ledger.release(hold);
    this.#kept = { ...this.#kept, holds: [] };
  }
}
