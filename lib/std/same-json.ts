/**
 * True if both are written as the same JSON: what is undefined counts as absent, and the order of keys for nothing. For plain data; several
 * times cheaper than writing one of them out to compare it.
 */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && sameItems(a, b);
  return sameFields(a as Fields, b as Fields);
}

type Fields = Readonly<Record<string, unknown>>;

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  // In a list undefined is written as null.
  return a.length === b.length && a.every((item, index) => sameJson(item ?? null, b[index] ?? null));
}

function sameFields(a: Fields, b: Fields): boolean {
  for (const key in a) if (a[key] !== undefined && !(Object.hasOwn(b, key) && sameJson(a[key], b[key]))) return false;
  for (const key in b) if (b[key] !== undefined && !(Object.hasOwn(a, key) && a[key] !== undefined)) return false;
  return true;
}
