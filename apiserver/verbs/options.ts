/** The options of writes, as they stand in the query. */
import { badRequest, invalidOption } from '#apiserver/http/status.ts';
import { invalid, notSupported } from '#apiserver/schema/causes.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface WriteOptions {
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
}

/** `kind` is the name of the options in messages: CreateOptions, UpdateOptions, PatchOptions. Invalid for a value that is none. */
export function readWriteOptions(query: URLSearchParams, kind: string): WriteOptions {
  const manager = query.get('fieldManager') ?? '';
  if (Buffer.byteLength(manager) > 128)
    throw invalidOption(kind, invalid('fieldManager', manager, 'may not be more than 128 bytes'));
  return { dryRun: readDryRun(query.getAll('dryRun'), kind), fieldValidation: readValidation(query, kind) };
}

function readValidation(query: URLSearchParams, kind: string): FieldValidation {
  const text = query.get('fieldValidation') || 'Warn';
  if (text === 'Ignore' || text === 'Warn' || text === 'Strict') return text;
  throw invalidOption(kind, notSupported('fieldValidation', text, ['', 'Ignore', 'Strict', 'Warn']));
}

export function readDryRun(values: readonly string[], kind: string): boolean {
  const set = values.filter((value) => value !== '');
  if (set.some((value) => value !== 'All')) throw invalidOption(kind, notSupported('dryRun', [...set], ['All']));
  return set.length > 0;
}

/** A whole number in the query. BadRequest in the words of Go for anything else. */
export function readInteger(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^-?\d{1,15}$/.test(text)) throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Number(text);
}
