/**
 * Ours against a baseline in one run: pairs in the order A B B A, the first pair dropped, the median of the ratios with a bootstrap 95 %
 * interval. A run whose baseline varied by more than half says so: the figure is then noise.
 */
import { type Random, seededRandom } from '#lib/std/random.ts';

export interface Comparison {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** Largest baseline divided by the smallest. */
  readonly spread: number;
}

/** `ours` and `baseline` each give a rate: more is better. */
export async function compare(
  pairs: number,
  ours: () => Promise<number>,
  baseline: () => Promise<number>,
): Promise<Comparison> {
  return comparisonOf(await interleaved(pairs, ours, baseline));
}

/** What both gave, pair by pair, the one that warms up caches and connections left out. */
export async function interleaved<T>(
  pairs: number,
  ours: () => Promise<T>,
  baseline: () => Promise<T>,
): Promise<readonly (readonly [ours: T, baseline: T])[]> {
  const values: (readonly [T, T])[] = [];
  for (let pair = 0; pair <= pairs; pair += 1) {
    const oursFirst = pair % 2 === 0;
    const first = await (oursFirst ? ours() : baseline());
    const second = await (oursFirst ? baseline() : ours());
    if (pair > 0) values.push(oursFirst ? [first, second] : [second, first]);
  }
  return values;
}

export function comparisonOf(pairs: readonly (readonly [ours: number, baseline: number])[]): Comparison {
  const ratios = pairs.map(([ours, baseline]) => ours / baseline);
  const baselines = pairs.map(([, baseline]) => baseline);
  return {
    ratio: median(ratios),
    ...interval(ratios, seededRandom(1)),
    spread: Math.max(...baselines) / Math.min(...baselines),
  };
}

/** Above it the baseline varied too much for the ratio to say anything. */
const spreadMax = 1.5;

/** `ratio=1.10 interval=1.05..1.20`, and whether it is void. */
export function ratioInWords({ ratio, low, high, spread }: Comparison, digits = 2): string {
  const [middle, from, to] = [ratio, low, high].map((value) => value.toFixed(digits));
  const noise = spread > spreadMax ? ` void=baseline-spread-${spread.toFixed(2)}` : '';
  return `ratio=${middle} interval=${from}..${to}${noise}`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The value below which this share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** b of time = a · size^b, by least squares over the logarithms. */
export function growthExponent(sizes: readonly number[], times: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const [x, y] = [sizes.map(Math.log), times.map(Math.log)];
  const [mx, my] = [mean(x), mean(y)];
  const covariance = x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0);
  return covariance / x.reduce((sum, value) => sum + (value - mx) ** 2, 0);
}

function interval(values: readonly number[], random: Random): { low: number; high: number } {
  const medians = Array.from({ length: 1000 }, () =>
    median(values.map(() => values[Math.floor(random.next() * values.length)]!)),
  );
  return { low: percentile(medians, 0.025), high: percentile(medians, 0.975) };
}
