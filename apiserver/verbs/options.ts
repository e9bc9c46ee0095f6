/** The options of writes, as they stand in the query. */
import type { Call } from '#apiserver/http/call.ts';
import { badRequest, invalidOption } from '#apiserver/http/status.ts';
import { invalid, notSupported, tooManyBytes } from '#apiserver/schema/causes.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface WriteOptions {
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
  /** Under whose name managedFields are noted down. */
  readonly manager: string;
}

const maxManagerBytes = 128;

/** `kind` is the name of the options in messages: CreateOptions, UpdateOptions, PatchOptions. Invalid for a value that is none. */
export function readWriteOptions({ query, headers }: Pick<Call, 'query' | 'headers'>, kind: string): WriteOptions {
  return {
    dryRun: readDryRun(query.getAll('dryRun'), kind),
    fieldValidation: readValidation(query, kind),
    manager: readManager(query, kind) || programOf(headers.userAgent),
  };
}

/** The fieldManager that is asked for, or an empty text. */
export function readManager(query: URLSearchParams, kind: string): string {
  const manager = query.get('fieldManager') ?? '';
  if (Buffer.byteLength(manager) > maxManagerBytes)
    throw invalidOption(kind, tooManyBytes('fieldManager', maxManagerBytes));
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(manager))
    throw invalidOption(kind, invalid('fieldManager', manager, 'should only contain printable characters'));
  return manager;
}

/** A program that does not say who it is goes by the first word of its User-Agent. */
function programOf(userAgent = ''): string {
  const [name = ''] = userAgent.split('/');
  return Buffer.from(name)
    .subarray(0, maxManagerBytes)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
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
