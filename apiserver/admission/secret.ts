/** Rules of Secrets: those of their data, and what each type of them must hold (kubernetes, pkg/apis/core/validation). */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { invalid, required } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkDataKeys, checkImmutable, checkSize, decodedBytes, members } from './data.ts';
import type { Rules } from './rules.ts';

export const secretRules: Rules = {
  defaults(object) {
    const { stringData, ...rest } = object as JsonObject;
    const data = isObject(stringData) ? { ...members(object, 'data'), ...encoded(stringData) } : at(object, 'data');
    const type = at(object, 'type') || 'Opaque';
    const secret: JsonObject = { ...rest, ...(data === undefined ? {} : { data }), type };
    return secret as ApiObject;
  },
  check: (object, old) => [
    ...checkDataKeys(object, 'data'),
    ...checkSize(
      'data',
      Object.values(members(object, 'data')).reduce((sum: number, value) => sum + decodedBytes(value), 0),
    ),
    ...checkImmutable(object, old, ['data']),
    ...checkType(object, old),
    ...checkContent(object),
  ],
};

/** stringData is for writing: it ends up in data, and nobody reads it back. */
function encoded(texts: JsonObject): JsonObject {
  const entries = Object.entries(texts).map(([key, value]): [string, Json] => [
    key,
    typeof value === 'string' ? Buffer.from(value).toString('base64') : value,
  ]);
  return Object.fromEntries(entries);
}

function checkType(object: ApiObject, old: StoredObject | undefined): Cause[] {
  if (!old || at(old, 'type') === at(object, 'type')) return [];
  return [invalid('type', at(object, 'type') ?? '', 'field is immutable; delete the secret and create it again')];
}

const serviceAccountName = 'kubernetes.io/service-account.name';

function checkContent(object: ApiObject): Cause[] {
  switch (at(object, 'type')) {
    case 'kubernetes.io/service-account-token':
      return object.metadata.annotations?.[serviceAccountName]
        ? []
        : [required(`metadata.annotations[${serviceAccountName}]`)];
    case 'kubernetes.io/dockercfg':
      return checkJson(object, '.dockercfg');
    case 'kubernetes.io/dockerconfigjson':
      return checkJson(object, '.dockerconfigjson');
    case 'kubernetes.io/basic-auth': {
      const missing = checkKeys(object, ['username', 'password']);
      return missing.length === 2 ? missing : [];
    }
    case 'kubernetes.io/ssh-auth':
      return decoded(object, 'ssh-privatekey').length > 0 ? [] : [required('data[ssh-privatekey]')];
    case 'kubernetes.io/tls':
      return checkKeys(object, ['tls.crt', 'tls.key']);
    default:
      return [];
  }
}

function checkKeys(object: ApiObject, keys: readonly string[]): Cause[] {
  return keys.filter((key) => !Object.hasOwn(members(object, 'data'), key)).map((key) => required(`data[${key}]`));
}

/** The contents of a secret stay out of what is said about it. */
function checkJson(object: ApiObject, key: string): Cause[] {
  const missing = checkKeys(object, [key]);
  if (missing.length > 0) return missing;
  try {
    JSON.parse(decoded(object, key));
    return [];
  } catch {
    return [invalid(`data[${key}]`, '<secret contents redacted>', 'it is no JSON')];
  }
}

function decoded(object: ApiObject, key: string): string {
  return Buffer.from(String(at(members(object, 'data'), key) ?? ''), 'base64').toString('utf8');
}
