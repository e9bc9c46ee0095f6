import { expect, test } from 'vitest';
import { bagOf, parseResources } from '../resources.ts';
import { dominantShare, orderRoles, type Standing, sorted } from './fair-order.ts';

const totals = new Map([
  ['cpus', 10_000],
  ['mem', 100_000],
]);
const even = { totals, weightOf: () => 1 };

function has(resources: string, count = 0): Standing {
  return { allocated: bagOf(parseResources(resources)), count };
}

test.each([
  ['cpus:5;mem:10', 0.5],
  ['cpus:1;mem:90', 0.9],
  ['', 0],
  ['disk:7', 0],
])('the dominant share of %j is %d', (resources, share) => {
  expect(dominantShare(has(resources).allocated, totals)).toBe(share);
});

test.each<
  [why: string, wanting: string[], standings: Record<string, Standing>, weights: Record<string, number>, string[]]
>([
  ['the smallest share first', ['a', 'b'], { a: has('cpus:5'), b: has('cpus:2;mem:30') }, {}, ['b', 'a']],
  ['a share counts for its weight', ['a', 'b'], { a: has('cpus:4'), b: has('cpus:3') }, { a: 2 }, ['a', 'b']],
  ['of equal shares who was thought of least', ['a', 'b'], { a: has('', 2), b: has('', 1) }, {}, ['b', 'a']],
  ['then by name', ['b', 'c', 'a'], {}, {}, ['a', 'b', 'c']],
  ['children count for their parent', ['a/x', 'b'], { 'a/y': has('cpus:5'), b: has('cpus:4') }, {}, ['b', 'a/x']],
  [
    'within a parent they are compared alone',
    ['a/x', 'a/y'],
    { 'a/x': has('cpus:2'), 'a/y': has('cpus:1') },
    {},
    ['a/y', 'a/x'],
  ],
  [
    'a parent that wants stands among its children',
    ['a', 'a/x', 'b'],
    { a: has('cpus:3'), 'a/x': has('cpus:1'), b: has('cpus:5') },
    {},
    ['a/x', 'a', 'b'],
  ],
  [
    'a weight of a parent holds for its children together',
    ['a/x', 'b'],
    { 'a/x': has('cpus:4'), b: has('cpus:3') },
    { a: 2 },
    ['a/x', 'b'],
  ],
])('%s', (_why, wanting, standings, weights, order) => {
  const measures = { totals, weightOf: (path: string) => weights[path] ?? 1 };
  expect(orderRoles(wanting, new Map(Object.entries(standings)), measures)).toEqual(order);
});

test('frameworks of a role are ordered in the same way', () => {
  const standings: Record<string, Standing> = { f1: has('cpus:1', 1), f2: has('cpus:1', 0), f3: has('mem:1') };
  expect(sorted(['f1', 'f2', 'f3'], (id) => standings[id]!, even)).toEqual(['f3', 'f2', 'f1']);
});
