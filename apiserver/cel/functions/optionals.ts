/** Values that may not be there. */
import { EvaluationError } from '../errors.ts';
import { isList, isMap, Optional, Uint, type Value } from '../values.ts';
import { type Overload, overload } from './overload.ts';

function isZero(value: Value): boolean {
  if (isList(value)) return value.length === 0;
  if (isMap(value)) return value.size === 0;
  if (value instanceof Uint8Array) return value.length === 0;
  if (value instanceof Uint) return value.value === 0n;
  return value === null || value === '' || value === 0n || value === 0 || value === false;
}

export const optionals: readonly Overload[] = [
  overload('optional.of(A): optional<A>', (_, value: Value) => new Optional(value)),
  overload('optional.none(): optional<dyn>', () => Optional.none),
  overload('optional.ofNonZeroValue(A): optional<A>', (_, value: Value) =>
    isZero(value) ? Optional.none : new Optional(value),
  ),
  overload('(optional<A>).hasValue(): bool', (_, optional: Optional) => optional.value !== undefined),
  overload('(optional<A>).value(): A', (_, optional: Optional) => {
    if (optional.value === undefined) throw new EvaluationError('optional.none() dereference');
    return optional.value;
  }),
];
