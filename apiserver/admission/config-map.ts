/** Rules of ConfigMaps (kubernetes, pkg/apis/core/validation). */
import type { ApiObject } from '#apiserver/json/object.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkDataKeys, checkImmutable, checkSize, decodedBytes, members } from './data.ts';
import type { Rules } from './rules.ts';

export const configMapRules: Rules = {
  check: (object, old) => [
    ...checkDataKeys(object, 'data'),
    ...checkDataKeys(object, 'binaryData'),
    ...checkTwice(object),
    ...checkSize('', bytesOf(object)),
    ...checkImmutable(object, old, ['data', 'binaryData']),
  ],
};

function checkTwice(object: ApiObject): Cause[] {
  const data = members(object, 'data');
  return Object.keys(members(object, 'binaryData'))
    .filter((key) => Object.hasOwn(data, key))
    .map((key) => invalid(`binaryData[${key}]`, key, 'duplicate of key present in data'));
}

function bytesOf(object: ApiObject): number {
  const texts = Object.values(members(object, 'data')).map((text) => Buffer.byteLength(String(text)));
  const binaries = Object.values(members(object, 'binaryData')).map(decodedBytes);
  return [...texts, ...binaries].reduce((sum, bytes) => sum + bytes, 0);
}
