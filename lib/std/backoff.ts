import type { Random } from './random.ts';

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Growth per failure; 2 unless told. */
  readonly factor?: number;
  /** Share of the delay that is left to chance, 0 to 1; 0.25 unless told. */
  readonly jitter?: number;
}

/** The delay before try number `failures` + 1, growing from firstMs to maxMs. */
export function backoffMs(failures: number, options: BackoffOptions, random: Random): number {
  const { firstMs, maxMs, factor = 2, jitter = 0.25 } = options;
  const base = Math.min(maxMs, firstMs * factor ** Math.max(0, failures - 1));
  return Math.round(base * (1 - jitter + 2 * jitter * random.next()));
}
