import { expect, test } from 'vitest';
import { keysBehind } from './compare.ts';

const cases = [
  { name: 'the same', listed: { a: 3n }, cached: { a: 3n }, deleted: {}, behind: [] },
  { name: 'changed after the list', listed: { a: 3n }, cached: { a: 9n }, deleted: {}, behind: [] },
  { name: 'created after the list', listed: {}, cached: { a: 6n }, deleted: {}, behind: [] },
  { name: 'deleted after the list', listed: { a: 3n }, cached: {}, deleted: { a: 7n }, behind: [] },
  { name: 'a creation missed', listed: { a: 3n }, cached: {}, deleted: {}, behind: ['a'] },
  { name: 'a change missed', listed: { a: 3n }, cached: { a: 2n }, deleted: {}, behind: ['a'] },
  { name: 'a deletion missed', listed: {}, cached: { a: 2n }, deleted: {}, behind: ['a'] },
  { name: 'a change that never was', listed: { a: 2n }, cached: { a: 4n }, deleted: {}, behind: ['a'] },
  { name: 'deleted before, created again unheard', listed: { a: 5n }, cached: {}, deleted: { a: 4n }, behind: ['a'] },
];

test.each(cases)('keysBehind(): $name', ({ listed, cached, deleted, behind }) => {
  const [inCache, gone] = [new Map(Object.entries(cached)), new Map(Object.entries(deleted))];
  const known = (key: string) => ({ rev: inCache.get(key), deletedRev: gone.get(key) });
  expect(keysBehind(new Map(Object.entries(listed)), 5n, inCache.keys(), known)).toEqual(behind);
});
