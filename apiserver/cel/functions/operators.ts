/** Arithmetic, comparison, membership and access: the functions behind CEL's operators. */
import type { Budget } from '../budget.ts';
import { compareNumbers, equal } from '../equality.ts';
import { EvaluationError, overflow } from '../errors.ts';
import { makeDuration, makeTimestamp } from '../time.ts';
import { Duration, isMap, KeyedList, mapKey, ObjectValue, Optional, Timestamp, Uint, type Value } from '../values.ts';
import { type Overload, overload, readsText } from './overload.ts';

export function checkInt(value: bigint): bigint {
  if (BigInt.asIntN(64, value) !== value) throw overflow();
  return value;
}

function divisor(value: bigint, word: string): bigint {
  if (value === 0n) throw new EvaluationError(`${word} by zero`);
  return value;
}

const arithmetic: readonly Overload[] = [
  overload('_+_(int, int): int', (_, a: bigint, b: bigint) => checkInt(a + b)),
  overload('_-_(int, int): int', (_, a: bigint, b: bigint) => checkInt(a - b)),
  overload('_*_(int, int): int', (_, a: bigint, b: bigint) => checkInt(a * b)),
  overload('_/_(int, int): int', (_, a: bigint, b: bigint) => checkInt(a / divisor(b, 'division'))),
  overload('_%_(int, int): int', (_, a: bigint, b: bigint) => a % divisor(b, 'modulus')),
  overload('-_(int): int', (_, a: bigint) => checkInt(-a)),
  overload('_+_(uint, uint): uint', (_, a: Uint, b: Uint) => new Uint(a.value + b.value)),
  overload('_-_(uint, uint): uint', (_, a: Uint, b: Uint) => new Uint(a.value - b.value)),
  overload('_*_(uint, uint): uint', (_, a: Uint, b: Uint) => new Uint(a.value * b.value)),
  overload('_/_(uint, uint): uint', (_, a: Uint, b: Uint) => new Uint(a.value / divisor(b.value, 'division'))),
  overload('_%_(uint, uint): uint', (_, a: Uint, b: Uint) => new Uint(a.value % divisor(b.value, 'modulus'))),
  overload('_+_(double, double): double', (_, a: number, b: number) => a + b),
  overload('_-_(double, double): double', (_, a: number, b: number) => a - b),
  overload('_*_(double, double): double', (_, a: number, b: number) => a * b),
  overload('_/_(double, double): double', (_, a: number, b: number) => a / b),
  overload('-_(double): double', (_, a: number) => -a),
  overload('_+_(string, string): string', (budget, a: string, b: string) => {
    readsText(budget, a, b);
    return a + b;
  }),
  overload('_+_(bytes, bytes): bytes', (budget, a: Uint8Array, b: Uint8Array) => {
    budget.chargeText(a.length + b.length);
    return Buffer.concat([a, b]);
  }),
  overload('_+_(list<A>, list<A>): list<A>', concatenate),
  overload('_+_(timestamp, duration): timestamp', (_, a: Timestamp, b: Duration) => makeTimestamp(a.nanos + b.nanos)),
  overload('_+_(duration, timestamp): timestamp', (_, a: Duration, b: Timestamp) => makeTimestamp(a.nanos + b.nanos)),
  overload('_+_(duration, duration): duration', (_, a: Duration, b: Duration) => makeDuration(a.nanos + b.nanos)),
  overload('_-_(timestamp, timestamp): duration', (_, a: Timestamp, b: Timestamp) => makeDuration(a.nanos - b.nanos)),
  overload('_-_(timestamp, duration): timestamp', (_, a: Timestamp, b: Duration) => makeTimestamp(a.nanos - b.nanos)),
  overload('_-_(duration, duration): duration', (_, a: Duration, b: Duration) => makeDuration(a.nanos - b.nanos)),
  overload('!_(bool): bool', (_, a: boolean) => !a),
];

/** Keyed lists keep the places of the left and take the items of the right where both have one. */
function concatenate(budget: Budget, a: readonly Value[], b: readonly Value[]): Value {
  budget.charge((a.length + b.length) / 10);
  if (!(a instanceof KeyedList)) return [...a, ...b];
  const { identify } = a;
  const merged = new Map(a.map((item) => [identify(item), item]));
  for (const item of b) merged.set(identify(item), item);
  const result = new KeyedList();
  result.identify = identify;
  for (const item of merged.values()) result.push(item);
  return result;
}

/** Below, zero or above. NaN for doubles that cannot be ordered. */
export function compare(budget: Budget, a: Value, b: Value): number {
  const numbers = compareNumbers(a, b);
  if (numbers !== undefined) return numbers;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(budget, a, b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    budget.chargeText(Math.min(a.length, b.length));
    return Buffer.compare(a, b);
  }
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration))
    return a.nanos < b.nanos ? -1 : Number(a.nanos > b.nanos);
  throw new EvaluationError('no such overload');
}

/** In the order of bytes of UTF-8, as Go does; JavaScript's own order differs above U+FFFF. */
function compareTexts(budget: Budget, a: string, b: string): number {
  budget.chargeText(Math.min(a.length, b.length));
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const orders: readonly (readonly [string, (order: number) => boolean])[] = [
  ['_<_', (order) => order < 0],
  ['_<=_', (order) => order <= 0],
  ['_>_', (order) => order > 0],
  ['_>=_', (order) => order >= 0],
];
const numeric = ['int', 'uint', 'double'];
const ordered = [
  ...numeric.flatMap((left) => numeric.map((right) => `${left}, ${right}`)),
  ...['bool', 'string', 'bytes', 'timestamp', 'duration'].map((type) => `${type}, ${type}`),
];

const comparison: readonly Overload[] = [
  ...orders.flatMap(([name, decides]) =>
    ordered.map((types) =>
      overload(`${name}(${types}): bool`, (budget, a: Value, b: Value) => decides(compare(budget, a, b))),
    ),
  ),
  overload('_==_(A, A): bool', (budget, a: Value, b: Value) => equal(a, b, budget)),
  overload('_!=_(A, A): bool', (budget, a: Value, b: Value) => !equal(a, b, budget)),
  overload('@in(A, list<A>): bool', (budget, item: Value, list: readonly Value[]) =>
    list.some((other) => equal(item, other, budget)),
  ),
  overload('@in(K, map<K, V>): bool', (_, key: Value, map: ReadonlyMap<Value, Value>) => map.has(mapKey(key))),
];

const access: readonly Overload[] = [
  overload('_[_](list<A>, int): A', (_, list: readonly Value[], index: bigint) => itemAt(list, index)),
  overload('_[_](map<K, V>, K): V', (_, map: ReadonlyMap<Value, Value>, key: Value) => {
    const value = map.get(mapKey(key));
    if (value === undefined) throw noSuchKey(key);
    return value;
  }),
  overload('_[?_](list<A>, int): optional<A>', (_, list: readonly Value[], index: bigint) =>
    optionalOf(list[Number(index)]),
  ),
  overload('_[?_](map<K, V>, K): optional<V>', (_, map: ReadonlyMap<Value, Value>, key: Value) =>
    optionalOf(map.get(mapKey(key))),
  ),
];

function itemAt(list: readonly Value[], index: bigint): Value {
  const item = index < 0n ? undefined : list[Number(index)];
  if (item === undefined) throw new EvaluationError(`index out of bounds: ${index}`);
  return item;
}

function optionalOf(value: Value | undefined): Optional {
  return value === undefined ? Optional.none : new Optional(value);
}

export function noSuchKey(key: Value): EvaluationError {
  return new EvaluationError(`no such key: ${key instanceof Uint ? key.value : String(key)}`);
}

/** The field of whatever turned out to have fields; undefined if it is not there. */
export function fieldOf(value: Value, name: string): Value | undefined {
  if (value instanceof ObjectValue) return value.get(name);
  if (isMap(value)) return value.get(name);
  throw new EvaluationError('no such overload');
}

export const operators: readonly Overload[] = [...arithmetic, ...comparison, ...access];
