/** What counts as which kind of number in Kubernetes, whose integers have 64 bits and whose other numbers are doubles. */
import { goTypeOf, type Json } from '#apiserver/json/json.ts';

/** As far as JavaScript's numbers go, what fits int64: larger ones Go reads as doubles, which are no integers then. */
export function isInteger(value: unknown): value is number {
  return Number.isInteger(value) && Math.abs(value as number) < 2 ** 63;
}

/** The words of JSON Schema for types, which messages about schemas contain. */
export function jsonTypeOf(value: Json): string {
  if (typeof value === 'boolean') return 'boolean';
  return isInteger(value) ? 'integer' : goTypeOf(value);
}

/** Whether `value` is so many times `factor`, as far as doubles can tell: 0.3 is three times 0.1 (kube-openapi, MultipleOf). */
export function isMultiple(value: number, factor: number): boolean {
  if (Number.isInteger(factor) && Number.isInteger(value)) return value % factor === 0;
  const times = factor < 1 ? (1 / factor) * value : value / factor;
  const whole = Math.round(times);
  return times === whole || Math.abs(times - whole) / (Math.abs(times) + Math.abs(whole)) < 1e-9;
}
