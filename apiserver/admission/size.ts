import { invalid } from '#apiserver/schema/causes.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import type { Cause } from '#lib/std/errors.ts';

/** No guest boots with less. */
const leastMemory = '64Mi';

/** The schema has made sure that it is a quantity. */
export function checkMemory(memory: string | undefined, field: string): Cause[] {
  if (memory === undefined || parseBytes(memory) >= parseBytes(leastMemory)) return [];
  return [invalid(field, memory, `must be at least ${leastMemory}`)];
}

/** A cause unless exactly one of the names is set. */
export function exactlyOne(field: string, names: readonly string[], set: readonly string[]): Cause[] {
  if (set.length === 1) return [];
  const found = set.length === 0 ? 'none is set' : `${set.join(' and ')} are set`;
  return [invalid(field, null, `exactly one of ${names.join(', ')} is needed, and ${found}`)];
}
