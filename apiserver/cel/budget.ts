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

/** Kubernetes' limits: for one rule, and for all rules of one object (apiserver, cel/limits.go). */
export const ruleLimit = 1_000_000;
export const objectLimit = 10_000_000;
