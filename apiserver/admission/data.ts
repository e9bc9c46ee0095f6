/** What ConfigMaps and Secrets have in common: keys that can be file names, a limit of size, and the flag that freezes them. */
import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { forbidden, invalid, tooLong } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';

/** Kubernetes' MaxSecretSize, which holds for both kinds. */
export const maxDataBytes = 1024 * 1024;

export function members(object: ApiObject, name: string): JsonObject {
  const value = at(object, name);
  return isObject(value) ? value : {};
}

export function checkDataKeys(object: ApiObject, field: string): Cause[] {
  return Object.keys(members(object, field)).flatMap((key) =>
    keyProblems(key).map((why) => invalid(`${field}[${key}]`, key, why)),
  );
}

function keyProblems(key: string): string[] {
  const problems: string[] = [];
  if (key.length > 253) problems.push('must be no more than 253 characters');
  if (!/^[-._a-zA-Z0-9]+$/.test(key))
    problems.push(
      "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    );
  if (key === '.' || key === '..') problems.push(`must not be '${key}'`);
  else if (key.startsWith('..')) problems.push("must not start with '..'");
  return problems;
}

/** How many bytes a value in base64 stands for. */
export function decodedBytes(value: unknown): number {
  return typeof value === 'string' ? Buffer.byteLength(value, 'base64') : 0;
}

export function checkSize(field: string, bytes: number): Cause[] {
  return bytes > maxDataBytes ? [tooLong(field, maxDataBytes)] : [];
}

export function checkImmutable(object: ApiObject, old: StoredObject | undefined, fields: readonly string[]): Cause[] {
  if (!old || at(old, 'immutable') !== true) return [];
  const changed = fields.filter((field) => !sameJson(members(object, field), members(old, field)));
  const unset = at(object, 'immutable') === true ? [] : ['immutable'];
  return [...unset, ...changed].map((field) =>
    forbidden(field, 'field is immutable when `immutable` is set; delete the object and create it again'),
  );
}
