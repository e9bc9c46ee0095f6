import { expect, test } from 'vitest';
import { describeRights, missingRights } from './covers.ts';
import { fullAuthority, type PolicyRule } from './rule.ts';

const rule = (verbs: string[], resources: string[], more: Partial<PolicyRule> = {}): PolicyRule => ({
  verbs,
  apiGroups: [''],
  resources,
  ...more,
});

test.each([
  [[rule(['*'], ['secrets'])], rule(['get', 'made-up'], ['secrets']), true],
  [[rule(['get'], ['*'])], rule(['get'], ['secrets', 'pods/log']), true],
  [[rule(['get'], ['*/scale'])], rule(['get'], ['pods/scale']), true],
  [[rule(['get'], ['*/scale'])], rule(['get'], ['pods']), false],
  [[rule(['get'], ['a']), rule(['list'], ['a'])], rule(['get', 'list'], ['a']), true],
  [[rule(['get'], ['a'], { resourceNames: ['x'] })], rule(['get'], ['a']), false],
  [[rule(['get'], ['a'])], rule(['get'], ['a'], { resourceNames: ['x'] }), true],
  [[rule(['get'], ['a'], { resourceNames: ['x'] })], rule(['get'], ['a'], { resourceNames: ['x', 'y'] }), false],
  [[rule(['get'], ['a', 'b'])], rule(['*'], ['a']), false],
  [[{ verbs: ['get'], nonResourceURLs: ['/api/*'] }], { verbs: ['get'], nonResourceURLs: ['/api/v1'] }, true],
  [[{ verbs: ['get'], nonResourceURLs: ['/api/*'] }], { verbs: ['get'], nonResourceURLs: ['/*'] }, false],
  [[...fullAuthority], { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, true],
  [[], { verbs: ['get'], nonResourceURLs: ['/'] }, false],
] as const)('%j holds %j: %s', (held, wanted, expected) => {
  expect(missingRights(held, [wanted]).length === 0).toBe(expected);
});

test('what is missing is told by resource, in the way of Kubernetes', () => {
  const missing = missingRights([rule(['get'], ['a'])], [rule(['get', 'list', 'watch'], ['a', 'b'])]);
  expect(describeRights(missing)).toEqual([
    '{APIGroups:[""], Resources:["a"], Verbs:["list" "watch"]}',
    '{APIGroups:[""], Resources:["b"], Verbs:["get" "list" "watch"]}',
  ]);
});

test('a role that would take too long to compare is refused', () => {
  const many = Array.from({ length: 2_000 }, (_, index) => `v${index}`);
  expect(() => missingRights([], [rule(many, many)])).toThrow(/4000000 single rights/);
  expect(missingRights([...fullAuthority], [rule(many, many)])).toEqual([]);
});
