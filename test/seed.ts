/**
 * What random tests begin with. It is fixed, so that the same code has the same tests and a red run means that the change broke something;
 * `CF_SEED=random` (or a number) looks at other cases. Where moments are real time, a run with the same seed is alike, not equal.
 */
import { systemRandom } from '#lib/std/random.ts';

const wanted = process.env.CF_SEED ?? '1';

export const seed = wanted === 'random' ? Math.floor(systemRandom.next() * 1_000_000) : Number(wanted);
if (!Number.isSafeInteger(seed)) throw new Error(`CF_SEED is a whole number or "random", not "${wanted}"`);
if (wanted === 'random') console.log(`CF_SEED=${seed}`);
