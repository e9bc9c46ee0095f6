/**
 * Notices an etcd that has gone back in time: an older snapshot was restored under us, or a fault took revisions away. Numbers that
 * clients hold would then be given out again, for other states, and a watch that resumes at one would miss what is new.
 *
 * The remedy is what `etcdutl snapshot restore --bump-revision --mark-compacted` does: empty writes until the revision is beyond all
 * that was ever seen, then a compaction there, so that etcd itself answers every number of the lost future as one too old. Until that
 * is done the store answers nothing. Objects are never touched.
 */
import { ApiError } from '#lib/std/errors.ts';
import { FutureRevisionError, type Rev } from './store.ts';

export interface Moment {
  readonly seen: Rev;
  readonly doubts: number;
}

export class Timeline {
  readonly #mend: (lost: Rev) => Promise<Rev>;
  readonly #wentBack: (error: FutureRevisionError) => void;
  #seen: Rev = 0n;
  #mending = false;
  #doubts = 0;
  #settled = 0;

  /** `mend` leads the store beyond `lost` and resolves with where it is then; it must not give up. `wentBack` is told at once. */
  constructor(mend: (lost: Rev) => Promise<Rev>, wentBack: (error: FutureRevisionError) => void) {
    this.#mend = mend;
    this.#wentBack = wentBack;
  }

  /** To be taken before a call: a linearizable answer to it cannot be older than what was seen by then. */
  moment(): Moment {
    return { seen: this.#seen, doubts: this.#doubts };
  }

  /** A connection was lost: it may be another etcd that answers next. Look before anything is written. */
  doubt(): void {
    this.#doubts++;
  }

  get inDoubt(): boolean {
    return this.#doubts !== this.#settled;
  }

  /** Throws ServiceUnavailable while the store is being led out of the past. */
  check(): void {
    if (!this.#mending) return;
    const message = 'The store has gone back in time: its revisions are being led beyond the lost ones, try again';
    throw new ApiError('ServiceUnavailable', message, { details: { retryAfterSeconds: 1 } });
  }

  /** The revision of the answer to a linearizable call, and the moment before that was made. */
  note(rev: Rev, { seen, doubts }: Moment): void {
    this.#settled = doubts;
    if (rev < seen) this.#leadOut(rev);
    else this.saw(rev);
  }

  /** A revision that was heard of, perhaps late. */
  saw(rev: Rev): void {
    if (rev > this.#seen) this.#seen = rev;
  }

  #leadOut(rev: Rev): void {
    if (this.#mending) return;
    this.#mending = true;
    const lost = this.#seen;
    this.#wentBack(new FutureRevisionError(lost, rev));
    this.#mend(lost).then(
      (now) => {
        this.#seen = now;
        this.#mending = false;
      },
      () => undefined, // Only a store that is being closed gives up.
    );
  }
}
