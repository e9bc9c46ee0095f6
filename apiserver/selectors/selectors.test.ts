import { describe, expect, test } from 'vitest';
import type { StoredObject } from '#apiserver/json/object.ts';
import { builtins } from '#apiserver/resources/builtin.ts';
import { readContinue, writeContinue } from './continue.ts';
import { parseFieldSelector } from './fields.ts';
import { parseLabelSelector } from './labels.ts';

describe('label selectors', () => {
  const labels = { app: 'web', tier: 'front', empty: '', constructor: 'c' };

  test.each([
    ['', true],
    ['app=web', true],
    ['app==web,tier!=back', true],
    ['app in (db, web)', true],
    ['app notin (db,web)', false],
    ['missing notin (a)', true],
    ['missing!=a', true],
    ['app', true],
    ['!app', false],
    ['!missing', true],
    ['toString', false],
    ['constructor=c', true],
    ['empty=', true],
    ['example.com/key=v', false],
  ])('%s matches: %s', (text, expected) => {
    expect(parseLabelSelector(text)(labels)).toBe(expected);
  });

  test.each([['a==b==c'], ['a in b'], ['a in (b'], ['=b'], ['a,,b'], ['a in (b))'], ['!a=b']])(
    '%s is refused',
    (text) => {
      expect(() => parseLabelSelector(text)).toThrow();
    },
  );
});

describe('field selectors', () => {
  const events = builtins.find(({ kind }) => kind === 'Event')!;
  const event = {
    metadata: { name: 'e', namespace: 'n' },
    involvedObject: { uid: 'u' },
    reason: 'R',
  } as unknown as StoredObject;

  test.each([
    ['metadata.name=e', true],
    ['metadata.name!=e', false],
    ['involvedObject.uid=u,reason==R', true],
    ['involvedObject.name=', true],
    ['type=Normal', false],
  ])('%s matches: %s', (text, expected) => {
    expect(parseFieldSelector(text, events).matches(event)).toBe(expected);
  });

  test('an unknown field is refused, for ignored it would select everything', () => {
    expect(() => parseFieldSelector('spec.replicas=3', events)).toThrow('field label not supported: spec.replicas');
  });
});

test('a continue token keeps revisions that a number cannot hold', () => {
  const token = { rev: 9_007_199_254_740_993n, after: 'default/a' };
  expect(readContinue(writeContinue(token))).toEqual(token);
  expect(() => readContinue('xxx')).toThrow(/invalid continue token/);
});
