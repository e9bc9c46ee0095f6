/** From one type to another, and what the type of a value is. */
import { EvaluationError } from '../errors.ts';
import { makeTimestamp, readDuration, readTimestamp, showDuration, showTimestamp } from '../time.ts';
import { type Duration, type Timestamp, TypeValue, typeNameOf, Uint, type Value } from '../values.ts';
import { checkInt } from './operators.ts';
import { type Overload, overload, readsText } from './overload.ts';

const same = (_: unknown, value: Value) => value;

export const conversions: readonly Overload[] = [
  overload('dyn(A): dyn', same),
  overload('type(A): type', (_, value: Value) => new TypeValue(typeNameOf(value))),
  overload('int(int): int', same),
  overload('int(uint): int', (_, value: Uint) => checkInt(value.value)),
  overload('int(double): int', (_, value: number) => {
    if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 63) throw new EvaluationError('integer overflow');
    return BigInt(Math.trunc(value));
  }),
  overload('int(string): int', (_, text: string) => {
    if (!/^[+-]?\d{1,19}$/.test(text)) throw new EvaluationError(`cannot convert ${shown(text)} to int`);
    return checkInt(BigInt(text.replace('+', '')));
  }),
  overload('int(timestamp): int', (_, value: Timestamp) => value.nanos / 1_000_000_000n),
  overload('int(duration): int', (_, value: Duration) => value.nanos),
  overload('uint(uint): uint', same),
  overload('uint(int): uint', (_, value: bigint) => new Uint(value)),
  overload('uint(double): uint', (_, value: number) => {
    if (!Number.isFinite(value)) throw new EvaluationError('unsigned integer overflow');
    return new Uint(BigInt(Math.trunc(value)));
  }),
  overload('uint(string): uint', (_, text: string) => {
    if (!/^\d{1,20}$/.test(text)) throw new EvaluationError(`cannot convert ${shown(text)} to uint`);
    return new Uint(BigInt(text));
  }),
  overload('double(double): double', same),
  overload('double(int): double', (_, value: bigint) => Number(value)),
  overload('double(uint): double', (_, value: Uint) => Number(value.value)),
  overload('double(string): double', (budget, text: string) => {
    readsText(budget, text);
    return readDouble(text);
  }),
  overload('bool(bool): bool', same),
  overload('bool(string): bool', (_, text: string) => {
    if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
    if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
    throw new EvaluationError(`cannot convert ${shown(text)} to bool`);
  }),
  overload('string(string): string', same),
  overload('string(bool): string', (_, value: boolean) => String(value)),
  overload('string(int): string', (_, value: bigint) => String(value)),
  overload('string(uint): string', (_, value: Uint) => String(value.value)),
  overload('string(double): string', (_, value: number) => showDouble(value)),
  overload('string(timestamp): string', (_, value: Timestamp) => showTimestamp(value)),
  overload('string(duration): string', (_, value: Duration) => showDuration(value)),
  overload('string(bytes): string', (budget, bytes: Uint8Array) => {
    budget.chargeText(bytes.length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (error) {
      throw new EvaluationError('invalid UTF-8 in bytes, cannot convert to string', { cause: error });
    }
  }),
  overload('bytes(bytes): bytes', same),
  overload('bytes(string): bytes', (budget, text: string) => {
    readsText(budget, text);
    return Buffer.from(text);
  }),
  overload('timestamp(timestamp): timestamp', same),
  overload('timestamp(string): timestamp', (_, text: string) => readTimestamp(text)),
  overload('timestamp(int): timestamp', (_, seconds: bigint) => makeTimestamp(seconds * 1_000_000_000n)),
  overload('duration(duration): duration', same),
  overload('duration(string): duration', (_, text: string) => readDuration(text)),
];

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}

function readDouble(text: string): number {
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special) return special[2]!.toLowerCase() === 'nan' ? Number.NaN : special[1] === '-' ? -Infinity : Infinity;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text))
    throw new EvaluationError(`cannot convert ${shown(text)} to double`);
  return Number(text);
}

/** As Go's strconv with format g does it. */
export function showDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -4 && exponent < 21) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}
