/** What the host's own services need, smoothed: a rise is believed at once, a fall little by little. Pure. */
import { type Amounts, amounts, type Name } from './amounts.ts';
import type { Policy } from './policy.ts';

export interface Levels {
  /** Monotonic: of the last sample, and of the first. */
  readonly atMs: number;
  readonly sinceMs: number;
  /** What to reckon with: the highest need of late. */
  readonly need: Amounts;
  /** What is needed now: a short average. */
  readonly now: Amounts;
}

/** A sample may leave out what could not be measured: that stays as it was. Undefined until everything has been measured once. */
export function levelsAfter(
  before: Levels | undefined,
  sample: Partial<Amounts>,
  atMs: number,
  { forgetMs, nowMs }: Pick<Policy, 'forgetMs' | 'nowMs'>,
): Levels | undefined {
  const { cpus, mem, disk } = sample;
  if (before === undefined) {
    if (cpus === undefined || mem === undefined || disk === undefined) return undefined;
    return { atMs, sinceMs: atMs, need: { cpus, mem, disk }, now: { cpus, mem, disk } };
  }
  const elapsedMs = Math.max(0, atMs - before.atMs);
  const towards = (from: number, to: number, halfLifeMs: number) => to + (from - to) * 0.5 ** (elapsedMs / halfLifeMs);
  const smooth = (old: Amounts, step: (old: number, is: number) => number) =>
    amounts((name: Name) => (sample[name] === undefined ? old[name] : step(old[name], sample[name])));
  return {
    atMs,
    sinceMs: before.sinceMs,
    need: smooth(before.need, (old, is) => (is >= old ? is : towards(old, is, forgetMs))),
    now: smooth(before.now, (old, is) => towards(old, is, nowMs)),
  };
}
