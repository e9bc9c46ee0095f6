/** Kubernetes' list library, cel-go's lists and sets extensions, and the sizes of collections. */
import type { Budget } from '../budget.ts';
import { canonical, equal } from '../equality.ts';
import { EvaluationError } from '../errors.ts';
import { makeDuration } from '../time.ts';
import { Duration, isList, Uint, type Value } from '../values.ts';
import { checkInt, compare } from './operators.ts';
import { type Overload, overload } from './overload.ts';

type List = readonly Value[];

function each(budget: Budget, list: List): List {
  budget.charge(list.length / 10);
  return list;
}

const comparable = ['int', 'uint', 'double', 'bool', 'duration', 'timestamp', 'string', 'bytes'];
const summable = ['int', 'uint', 'double', 'duration'];

function sum(budget: Budget, list: List, zero: Value): Value {
  return each(budget, list).reduce(
    (total, item) => plus(total, item),
    list[0] === undefined ? zero : zeroLike(list[0]),
  );
}

function zeroLike(value: Value): Value {
  if (typeof value === 'bigint') return 0n;
  if (typeof value === 'number') return 0;
  return value instanceof Uint ? new Uint(0n) : new Duration(0n);
}

function plus(a: Value, b: Value): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint') return checkInt(a + b);
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (a instanceof Uint && b instanceof Uint) return new Uint(a.value + b.value);
  if (a instanceof Duration && b instanceof Duration) return makeDuration(a.nanos + b.nanos);
  throw new EvaluationError('no such overload');
}

const zeros: Readonly<Record<string, Value>> = { uint: new Uint(0n), double: 0, duration: new Duration(0n) };

/** The item that wins every comparison. */
function extreme(budget: Budget, list: List, name: string, wins: (order: number) => boolean): Value {
  const [first, ...rest] = each(budget, list);
  if (first === undefined) throw new EvaluationError(`${name} called on empty list`);
  return rest.reduce((best, item) => (wins(compare(budget, item, best)) ? item : best), first);
}

function sort(budget: Budget, list: List): Value {
  budget.charge(list.length * Math.max(1, Math.log2(list.length || 1)));
  return list.toSorted((a, b) => compare(budget, a, b));
}

/** Without what repeats an earlier item. */
function distinct(budget: Budget, list: List): Value {
  const seen = new Map<string, Value>();
  for (const item of list) {
    const key = canonical(item);
    budget.charge(2 + key.length / 10);
    if (!seen.has(key)) seen.set(key, item);
  }
  return [...seen.values()];
}

function flatten(budget: Budget, list: List, depth: bigint): Value[] {
  if (depth < 0n) throw new EvaluationError('level must be non-negative');
  return each(budget, list).flatMap((item) =>
    isList(item) && depth > 0n ? flatten(budget, item, depth - 1n) : [item],
  );
}

function slice(budget: Budget, list: List, start: bigint, end: bigint): Value {
  if (start < 0n || end > list.length || start > end)
    throw new EvaluationError(`cannot slice(${start}, ${end}), list has ${list.length} items`);
  return each(budget, list.slice(Number(start), Number(end)));
}

function subset(budget: Budget, list: List, of: List): boolean {
  return of.every((item) => list.some((other) => equal(item, other, budget)));
}

export const lists: readonly Overload[] = [
  ...['size(list<A>): int', '(list<A>).size(): int'].map((signature) =>
    overload(signature, (_, list: List) => BigInt(list.length)),
  ),
  ...['size(map<K, V>): int', '(map<K, V>).size(): int'].map((signature) =>
    overload(signature, (_, map: ReadonlyMap<Value, Value>) => BigInt(map.size)),
  ),
  ...comparable.flatMap((type) => [
    overload(`(list<${type}>).isSorted(): bool`, (budget, list: List) =>
      each(budget, list).every((item, index) => index === 0 || compare(budget, list[index - 1]!, item) <= 0),
    ),
    overload(`(list<${type}>).min(): ${type}`, (budget, list: List) =>
      extreme(budget, list, 'min', (order) => order < 0),
    ),
    overload(`(list<${type}>).max(): ${type}`, (budget, list: List) =>
      extreme(budget, list, 'max', (order) => order > 0),
    ),
    overload(`(list<${type}>).sort(): list<${type}>`, sort),
  ]),
  ...summable.map((type) =>
    overload(`(list<${type}>).sum(): ${type}`, (budget, list: List) => sum(budget, list, zeros[type] ?? 0n)),
  ),
  overload('(list<A>).indexOf(A): int', (budget, list: List, item: Value) =>
    BigInt(each(budget, list).findIndex((other) => equal(item, other, budget))),
  ),
  overload('(list<A>).lastIndexOf(A): int', (budget, list: List, item: Value) =>
    BigInt(each(budget, list).findLastIndex((other) => equal(item, other, budget))),
  ),
  overload('(list<A>).distinct(): list<A>', distinct),
  overload('(list<A>).reverse(): list<A>', (budget, list: List) => each(budget, list).toReversed()),
  overload('(list<A>).slice(int, int): list<A>', slice),
  overload('(list<dyn>).flatten(): list<dyn>', (budget, list: List) => flatten(budget, list, 1n)),
  overload('(list<dyn>).flatten(int): list<dyn>', flatten),
  overload('lists.range(int): list<int>', (budget, count: bigint) => {
    if (count < 0n || count > 1_000_000n) throw new EvaluationError(`cannot make a list of ${count} items`);
    budget.charge(Number(count) / 10);
    return Array.from({ length: Number(count) }, (_, index) => BigInt(index));
  }),
  overload('sets.contains(list<A>, list<A>): bool', (budget, list: List, of: List) => subset(budget, list, of)),
  overload(
    'sets.equivalent(list<A>, list<A>): bool',
    (budget, a: List, b: List) => subset(budget, a, b) && subset(budget, b, a),
  ),
  overload('sets.intersects(list<A>, list<A>): bool', (budget, a: List, b: List) =>
    a.some((item) => b.some((other) => equal(item, other, budget))),
  ),
];
