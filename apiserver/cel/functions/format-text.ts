/** string.format of cel-go: %s %d %f %e %b %o %x %X and %%. */
import type { Budget } from '../budget.ts';
import { EvaluationError } from '../errors.ts';
import { showDuration, showTimestamp } from '../time.ts';
import {
  Duration,
  isList,
  isMap,
  ObjectValue,
  Opaque,
  type Optional,
  Timestamp,
  TypeValue,
  typeNameOf,
  Uint,
  type Value,
} from '../values.ts';
import { showDouble } from './conversions.ts';

export function formatText(budget: Budget, template: string, args: readonly Value[]): string {
  budget.chargeText(template.length);
  let next = 0;
  return template.replace(/%(?:\.(\d{1,3}))?(.?)/gs, (_, precision: string | undefined, verb: string) => {
    if (verb === '%') return '%';
    const value = args[next++];
    if (value === undefined) throw new EvaluationError(`index ${next - 1} out of range`);
    const text = formatOne(verb, value, precision === undefined ? 6 : Number(precision));
    budget.chargeText(text.length);
    return text;
  });
}

function formatOne(verb: string, value: Value, precision: number): string {
  switch (verb) {
    case 's':
      return show(value);
    case 'd':
      return decimal(value);
    case 'f':
      return fixed(value, Math.min(precision, 100), verb);
    case 'e':
      return fixed(value, Math.min(precision, 100), verb);
    case 'b':
      return typeof value === 'boolean' ? (value ? '1' : '0') : wholeNumber(value, verb).toString(2);
    case 'o':
      return wholeNumber(value, verb).toString(8);
    case 'x':
      return hexadecimal(value, verb);
    case 'X':
      return hexadecimal(value, verb).toUpperCase();
    default:
      throw new EvaluationError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
  }
}

function decimal(value: Value): string {
  if (typeof value === 'number') return showDouble(value);
  return wholeNumber(value, 'd').toString();
}

function wholeNumber(value: Value, verb: string): bigint {
  if (typeof value === 'bigint') return value;
  if (value instanceof Uint) return value.value;
  throw refuse(verb, value);
}

function hexadecimal(value: Value, verb: string): string {
  if (typeof value === 'string') return Buffer.from(value).toString('hex');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return wholeNumber(value, verb).toString(16);
}

function fixed(value: Value, precision: number, verb: 'f' | 'e'): string {
  const number = typeof value === 'number' ? value : Number(wholeNumber(value, verb));
  if (!Number.isFinite(number)) return showDouble(number).replace('+', '');
  return verb === 'f' ? number.toFixed(precision) : number.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2');
}

function refuse(verb: string, value: Value): EvaluationError {
  return new EvaluationError(
    `error during formatting: %${verb} cannot be used with a value of type ${typeNameOf(value)}`,
  );
}

/** %s shows anything, the keys of maps in their order. */
export function show(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'number') return showDouble(value);
  if (typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map(show).join(', ')}]`;
  if (isMap(value)) return showEntries([...value]);
  if (value instanceof ObjectValue) return showEntries(value.names().map((name) => [name, value.get(name)!]));
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (value instanceof Timestamp) return showTimestamp(value);
  if (value instanceof Duration) return showDuration(value);
  return showOther(value);
}

function showEntries(entries: readonly (readonly [Value, Value])[]): string {
  const shown = entries.map(([key, item]) => `${show(key)}: ${show(item)}`).sort();
  return `{${shown.join(', ')}}`;
}

function showOther(value: Uint | TypeValue | Optional | Opaque): string {
  if (value instanceof Uint) return String(value.value);
  if (value instanceof TypeValue) return value.name;
  if (value instanceof Opaque) return value.key;
  throw refuse('s', value);
}
