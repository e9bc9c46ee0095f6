/** Command line flags of the two programs. */
import { parseArgs } from 'node:util';
import { UsageError } from '#lib/std/main.ts';

export type Flags = Readonly<Record<string, string | undefined>>;

/** All flags take a value. Unknown or repeated arguments are a UsageError that shows `usage`. */
export function readFlags(names: readonly string[], usage: string): Flags {
  try {
    const options = Object.fromEntries([...names, 'log-level'].map((name) => [name, { type: 'string' as const }]));
    return parseArgs({ options, strict: true }).values as Flags;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
}

export function required(flags: Flags, name: string, usage: string): string {
  const value = flags[name];
  if (value === undefined) throw new UsageError(`--${name} is missing\n${usage}`);
  return value;
}

/** A number of seconds as milliseconds; undefined if the flag was not given. */
export function seconds(flags: Flags, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} is "${text}": want a number of seconds above 0`);
  return value * 1000;
}

export function count(flags: Flags, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`--${name} is "${text}": want a whole number above 0`);
  return value;
}

/** Leaves out what is undefined, so that defaults hold. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
