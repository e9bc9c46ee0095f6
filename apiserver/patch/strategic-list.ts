/** Lists of a strategic merge patch: items are told apart by a field, or by what they are, and keep an order that both sides accept. */
import { badRequest } from '#apiserver/http/status.ts';
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';

export interface ItemRules {
  readonly merge: (item: JsonObject, change: JsonObject) => JsonObject;
  readonly directiveOf: (item: JsonObject) => 'merge' | 'replace' | 'delete';
  readonly cleaned: (item: JsonObject) => JsonObject;
}

/** What tells an item apart from the others, as text. BadRequest for an item without the field. */
function identity(item: Json, key: string | undefined): string {
  if (key === undefined) return JSON.stringify(item);
  const value = isObject(item) ? at(item, key) : undefined;
  if (value === undefined) throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
  return JSON.stringify(value);
}

/** Both lists without repeats: what the patch names in its order, the rest among it. */
export function mergeTexts(old: readonly Json[], patch: readonly Json[]): Json[] {
  for (const item of [...old, ...patch])
    if (typeof item === 'object') throw badRequest('invalid patch format of primitive list');
  return inOrder([...new Set([...old, ...patch])], patch, old, undefined);
}

export function without(old: readonly Json[], values: readonly Json[]): Json[] {
  const gone = new Set(values.map((value) => identity(value, undefined)));
  return old.filter((item) => !gone.has(identity(item, undefined)));
}

/** Items with the same key become one; `$patch` in an item deletes it, or makes the patch replace the whole list. */
export function mergeItems(old: readonly Json[], patch: readonly Json[], key: string, rules: ItemRules): Json[] {
  const changes = patch.map((item) => {
    if (isObject(item)) return { item, directive: rules.directiveOf(item) };
    throw badRequest(`an item of a list that merges by "${key}" must be an object: ${JSON.stringify(item)}`);
  });
  const wanted = changes.filter(({ directive }) => directive === 'merge').map(({ item }) => item);
  if (changes.some(({ directive }) => directive === 'replace')) return wanted.map(rules.cleaned);
  const gone = new Set(
    changes.filter(({ directive }) => directive === 'delete').map(({ item }) => identity(item, key)),
  );
  const left = old.filter((item) => !gone.has(identity(item, key)));
  const merged = new Map(left.map((item) => [identity(item, key), item]));
  for (const item of wanted) {
    const known = merged.get(identity(item, key));
    merged.set(identity(item, key), isObject(known) ? rules.merge(known, item) : rules.cleaned(item));
  }
  return inOrder([...merged.values()], wanted, left, key);
}

/** BadRequest if the items of the patch come in another order than `$setElementOrder` gives. */
export function requireOrder(patch: readonly Json[], order: readonly Json[], key: string | undefined): void {
  const places = placesOf(order, key);
  let last = -1;
  for (const item of patch) {
    if (isObject(item) && Object.hasOwn(item, '$patch')) continue;
    const place = places.get(identity(item, key)) ?? -1;
    if (place <= last)
      throw badRequest(
        `The order in patch list:\n${JSON.stringify(patch)}\n doesn't match $setElementOrder list:\n${JSON.stringify(order)}\n`,
      );
    last = place;
  }
}

function placesOf(list: readonly Json[], key: string | undefined): Map<string, number> {
  return new Map(list.map((item, index) => [identity(item, key), index]));
}

/**
 * What `order` names, in that order; in between, in the order of `old`, what it does not name: each before the first named item that
 * stood behind it.
 */
export function inOrder(
  merged: readonly Json[],
  order: readonly Json[],
  old: readonly Json[],
  key: string | undefined,
): Json[] {
  const wanted = placesOf(order, key);
  const before = placesOf(old, key);
  const place = (places: Map<string, number>, item: Json) =>
    places.get(identity(item, key)) ?? Number.POSITIVE_INFINITY;
  const sorted = (items: Json[], places: Map<string, number>) =>
    items.sort((one, other) => {
      const [a, b] = [place(places, one), place(places, other)];
      return a === b ? 0 : a - b;
    });
  const named = sorted(
    merged.filter((item) => wanted.has(identity(item, key))),
    wanted,
  );
  const others = sorted(
    merged.filter((item) => !wanted.has(identity(item, key))),
    before,
  );
  const result: Json[] = [];
  let next = 0;
  for (const item of named) {
    while (next < others.length && place(before, others[next]!) < knownPlace(item)) result.push(others[next++]!);
    result.push(item);
  }
  return [...result, ...others.slice(next)];

  /** One that the server did not have stands before everything. */
  function knownPlace(item: Json): number {
    return before.get(identity(item, key)) ?? -1;
  }
}
