import { CostError } from './errors.ts';

/**
 * What evaluation may cost, in cel-go's units: one for a step, a tenth for a character that is looked at. The same for the same rule
 * and object on every machine, unlike a deadline.
 */
export class Budget {
  #left: number;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
    this.#left = limit;
  }

  get spent(): number {
    return Math.ceil(this.#limit - this.#left);
  }

  /** CostError once everything is spent. */
  charge(cost: number): void {
    this.#left -= cost;
    if (this.#left < 0) throw new CostError('operation cancelled: actual cost limit exceeded');
  }

  /** For work that looks at every character of a text, or every byte. */
  chargeText(length: number): void {
    this.charge(length / 10);
  }
}

/** Kubernetes' limit for one rule (apiserver, cel/limits.go): about a tenth of a second. */
export const ruleLimit = 1_000_000;
/** For all rules of one object. A fifth of Kubernetes' limit, for here nothing else goes on meanwhile. */
export const objectLimit = 2_000_000;
