/**
 * Which guests their host keeps frozen now, for those who ask guests something meanwhile: what a frozen guest leaves unsaid says nothing of
 * it. Not for ever: only being restarted helps one whose agent died while it was frozen, so after a while it counts as any other.
 */
import type { Clock } from '#lib/std/clock.ts';

/** Well beyond the time that freezing, the moment of the snapshot and thawing may take together. */
const heldMs = 60_000;

export interface FreezeWatch extends Disposable {
  /** It is frozen now, or being frozen or thawed. */
  readonly isFrozen: boolean;
  /** It was so at any moment since this watch began. */
  readonly wasFrozen: boolean;
}

export class Freezes {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Monotonic, by uid: when it was told to freeze. */
  readonly #since = new Map<string, number>();
  readonly #watches = new Set<{ readonly uid: string; wasFrozen: boolean }>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** To be called before the guest is told. */
  begin(uid: string): void {
    this.#since.set(uid, this.#clock.monotonic());
    for (const watch of this.#watches) if (watch.uid === uid) watch.wasFrozen = true;
  }

  /** It has thawed. */
  end(uid: string): void {
    this.#since.delete(uid);
  }

  /** Of one guest, until disposed of. */
  watch(uid: string): FreezeWatch {
    const seen = { uid, wasFrozen: this.#isFrozen(uid) };
    this.#watches.add(seen);
    const isFrozen = (): boolean => this.#isFrozen(uid);
    return {
      get isFrozen() {
        return isFrozen();
      },
      get wasFrozen() {
        return seen.wasFrozen;
      },
      [Symbol.dispose]: () => void this.#watches.delete(seen),
    };
  }

  #isFrozen(uid: string): boolean {
    const since = this.#since.get(uid);
    return since !== undefined && this.#clock.monotonic() - since < heldMs;
  }
}
