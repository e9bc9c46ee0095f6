/** cel-go's strings extension. Positions count code points, as Go's runes. */
import type { Budget } from '../budget.ts';
import { EvaluationError } from '../errors.ts';
import type { Value } from '../values.ts';
import { formatText } from './format-text.ts';
import { type Overload, overload, readsText } from './overload.ts';

export function runes(budget: Budget, text: string): readonly string[] {
  budget.charge(text.length / 4);
  return [...text];
}

/** The part from one position to another. EvaluationError for one that is not there. */
function part(all: readonly string[], start: bigint, end: bigint): string {
  if (start < 0n || start > all.length) throw new EvaluationError(`index out of range: ${start}`);
  if (end < start || end > all.length)
    throw new EvaluationError(`invalid substring range. start: ${start}, end: ${end}`);
  return all.slice(Number(start), Number(end)).join('');
}

/** Where a position of UTF-16 stands in code points. */
function position(text: string, unit: number): bigint {
  return unit === -1 ? -1n : BigInt([...text.slice(0, unit)].length);
}

function unitAt(text: string, index: bigint): number {
  const all = [...text];
  if (index < 0n || index > all.length) throw new EvaluationError(`index out of range: ${index}`);
  return all.slice(0, Number(index)).join('').length;
}

function searches(budget: Budget, text: string, searched: string): void {
  budget.charge((text.length * Math.max(1, searched.length)) / 10 ** 2);
  readsText(budget, text, searched);
}

function split(budget: Budget, text: string, separator: string, limit: bigint): Value {
  searches(budget, text, separator);
  if (limit === 0n) return [];
  const parts = separator === '' ? [...text] : text.split(separator);
  budget.charge(parts.length / 10);
  if (limit < 0n || parts.length <= limit) return parts;
  const kept = Number(limit) - 1;
  return [...parts.slice(0, kept), parts.slice(kept).join(separator)];
}

/** `limit` times at most, always when it is negative. The result is charged before it is made: it may be far larger than the text. */
function replace(budget: Budget, text: string, from: string, to: string, limit: bigint): Value {
  searches(budget, text, from);
  const parts = from === '' ? ['', ...text, ''] : text.split(from);
  const times = limit < 0n ? parts.length - 1 : Math.min(Number(limit), parts.length - 1);
  budget.chargeText(times * to.length);
  const replaced = parts.slice(0, times + 1).join(to);
  const rest = parts.slice(times + 1).join(from);
  return times === parts.length - 1 ? replaced : `${replaced}${from}${rest}`;
}

const ascii = (text: string, from: RegExp, change: (char: string) => string) => text.replace(from, change);

export const strings: readonly Overload[] = [
  ...['size(string): int', '(string).size(): int'].map((signature) =>
    overload(signature, (budget, text: string) => BigInt(runes(budget, text).length)),
  ),
  ...['size(bytes): int', '(bytes).size(): int'].map((signature) =>
    overload(signature, (_, bytes: Uint8Array) => BigInt(bytes.length)),
  ),
  overload('(string).contains(string): bool', (budget, text: string, other: string) => {
    searches(budget, text, other);
    return text.includes(other);
  }),
  overload('(string).startsWith(string): bool', (budget, text: string, other: string) => {
    readsText(budget, other);
    return text.startsWith(other);
  }),
  overload('(string).endsWith(string): bool', (budget, text: string, other: string) => {
    readsText(budget, other);
    return text.endsWith(other);
  }),
  overload('(string).charAt(int): string', (budget, text: string, index: bigint) => {
    const all = runes(budget, text);
    if (index === BigInt(all.length)) return '';
    return part(all, index, index + 1n);
  }),
  overload('(string).indexOf(string): int', (budget, text: string, other: string) => {
    searches(budget, text, other);
    return position(text, text.indexOf(other));
  }),
  overload('(string).indexOf(string, int): int', (budget, text: string, other: string, from: bigint) => {
    searches(budget, text, other);
    return position(text, text.indexOf(other, unitAt(text, from)));
  }),
  overload('(string).lastIndexOf(string): int', (budget, text: string, other: string) => {
    searches(budget, text, other);
    return position(text, text.lastIndexOf(other));
  }),
  overload('(string).lastIndexOf(string, int): int', (budget, text: string, other: string, from: bigint) => {
    searches(budget, text, other);
    return position(text, text.lastIndexOf(other, unitAt(text, from)));
  }),
  overload('(string).lowerAscii(): string', (budget, text: string) => {
    readsText(budget, text);
    return ascii(text, /[A-Z]+/g, (char) => char.toLowerCase());
  }),
  overload('(string).upperAscii(): string', (budget, text: string) => {
    readsText(budget, text);
    return ascii(text, /[a-z]+/g, (char) => char.toUpperCase());
  }),
  overload('(string).replace(string, string): string', (budget, text: string, from: string, to: string) =>
    replace(budget, text, from, to, -1n),
  ),
  overload(
    '(string).replace(string, string, int): string',
    (budget, text: string, from: string, to: string, limit: bigint) => replace(budget, text, from, to, limit),
  ),
  overload('(string).reverse(): string', (budget, text: string) => [...runes(budget, text)].reverse().join('')),
  overload('(string).split(string): list<string>', (budget, text: string, by: string) => split(budget, text, by, -1n)),
  overload('(string).split(string, int): list<string>', (budget, text: string, by: string, limit: bigint) =>
    split(budget, text, by, limit),
  ),
  overload('(string).substring(int): string', (budget, text: string, start: bigint) => {
    const all = runes(budget, text);
    return part(all, start, BigInt(all.length));
  }),
  overload('(string).substring(int, int): string', (budget, text: string, start: bigint, end: bigint) =>
    part(runes(budget, text), start, end),
  ),
  overload('(string).trim(): string', (budget, text: string) => {
    readsText(budget, text);
    return text.trim();
  }),
  overload('(list<string>).join(): string', (budget, list: readonly string[]) => joined(budget, list, '')),
  overload('(list<string>).join(string): string', joined),
  overload('strings.quote(string): string', (budget, text: string) => {
    readsText(budget, text);
    return JSON.stringify(text);
  }),
  overload('(string).format(list<dyn>): string', formatText),
];

function joined(budget: Budget, list: readonly string[], separator: string): string {
  for (const item of list) {
    if (typeof item !== 'string') throw new EvaluationError('no such overload');
    readsText(budget, item, separator);
  }
  return list.join(separator);
}
