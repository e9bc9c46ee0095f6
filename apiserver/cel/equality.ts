import type { Budget } from './budget.ts';
import {
  Duration,
  isList,
  isMap,
  KeyedList,
  ObjectValue,
  Opaque,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from './values.ts';

/** CEL's equality: across numeric types by value, across other types false. Costs as much as it looks at. */
export function equal(one: Value, other: Value, budget: Budget): boolean {
  budget.charge(0.1);
  if (one === other) return true;
  if (one === null || other === null) return false;
  if (typeof one === 'string' && typeof other === 'string') {
    budget.chargeText(Math.min(one.length, other.length));
    return false;
  }
  const numbers = compareNumbers(one, other);
  if (numbers !== undefined) return numbers === 0;
  if (isList(one)) return isList(other) && equalLists(one, other, budget);
  if (isMap(one)) return isMap(other) && equalMaps(one, other, budget);
  if (one instanceof ObjectValue) return other instanceof ObjectValue && equalObjects(one, other, budget);
  if (one instanceof Uint8Array) {
    budget.chargeText(one.length);
    return other instanceof Uint8Array && Buffer.compare(one, other) === 0;
  }
  return equalSmall(one, other, budget);
}

function equalSmall(one: Value, other: Value, budget: Budget): boolean {
  if (one instanceof Timestamp) return other instanceof Timestamp && one.nanos === other.nanos;
  if (one instanceof Duration) return other instanceof Duration && one.nanos === other.nanos;
  if (one instanceof TypeValue) return other instanceof TypeValue && one.name === other.name;
  if (one instanceof Opaque) return other instanceof Opaque && one.type === other.type && one.key === other.key;
  if (!(one instanceof Optional && other instanceof Optional)) return false;
  if (one.value === undefined || other.value === undefined) return one.value === other.value;
  return equal(one.value, other.value, budget);
}

/** Below, zero or above; undefined if one of them is no number; NaN if they cannot be ordered. */
export function compareNumbers(one: Value, other: Value): number | undefined {
  const left = one instanceof Uint ? one.value : one;
  const right = other instanceof Uint ? other.value : other;
  if (typeof left !== 'bigint' && typeof left !== 'number') return undefined;
  if (typeof right !== 'bigint' && typeof right !== 'number') return undefined;
  if (left < right) return -1;
  if (left > right) return 1;
  // biome-ignore lint/suspicious/noDoubleEquals: JavaScript compares a bigint with a number by value only this way
  return left == right ? 0 : Number.NaN;
}

function equalLists(one: readonly Value[], other: readonly Value[], budget: Budget): boolean {
  if (one.length !== other.length) return false;
  if (!(one instanceof KeyedList)) return one.every((item, index) => equal(item, other[index]!, budget));
  const byIdentity = new Map(other.map((item) => [one.identify(item), item]));
  return one.every((item) => {
    const same = byIdentity.get(one.identify(item));
    return same !== undefined && equal(item, same, budget);
  });
}

function equalMaps(one: ReadonlyMap<Value, Value>, other: ReadonlyMap<Value, Value>, budget: Budget): boolean {
  if (one.size !== other.size) return false;
  for (const [key, value] of one) {
    const same = other.get(key);
    if (same === undefined || !equal(value, same, budget)) return false;
  }
  return true;
}

function equalObjects(one: ObjectValue, other: ObjectValue, budget: Budget): boolean {
  const names = one.names();
  return (
    names.length === other.names().length &&
    names.every((name) => {
      const same = other.get(name);
      return same !== undefined && equal(one.get(name)!, same, budget);
    })
  );
}

/** A text that is the same for equal values only. */
export function canonical(value: Value): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint' || typeof value === 'number') return `#${value}`;
  if (value instanceof Uint) return `#${value.value}`;
  if (isList(value)) return `[${value.map(canonical).join()}]`;
  if (isMap(value)) return `{${entriesOf([...value])}}`;
  if (value instanceof ObjectValue) return `(${entriesOf(value.names().map((name) => [name, value.get(name)!]))})`;
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString('base64')}`;
  if (value instanceof Timestamp || value instanceof Duration) return `${value.constructor.name}${value.nanos}`;
  if (value instanceof Optional) return value.value === undefined ? 'none' : `some ${canonical(value.value)}`;
  return value instanceof TypeValue ? `type ${value.name}` : `${value.type} ${value.key}`;
}

function entriesOf(entries: [Value, Value][]): string {
  return entries
    .map(([key, value]) => `${canonical(key)}:${canonical(value)}`)
    .sort()
    .join();
}
