import { expect, test } from 'vitest';
import type { StoredObject } from '#apiserver/json/object.ts';
import { aggregated } from './aggregate.ts';

const rule = (verb: string) => ({ verbs: [verb], apiGroups: [''], resources: ['secrets'] });

function role(name: string, labels: Record<string, string>, more: object): StoredObject {
  return { apiVersion: 'v1', kind: 'ClusterRole', metadata: { name, labels }, ...more } as unknown as StoredObject;
}

const gathers = (...keys: string[]) => ({
  aggregationRule: { clusterRoleSelectors: keys.map((key) => ({ matchLabels: { [key]: 'yes' } })) },
});

function verbsOf(roles: readonly StoredObject[], name: string): string[] {
  const found = aggregated(roles).find(({ metadata }) => metadata.name === name)!;
  return (found.rules as unknown as { verbs: string[] }[]).flatMap(({ verbs }) => verbs);
}

test('rules travel up through aggregates of aggregates, each once', () => {
  const roles = [
    role('top', {}, gathers('middle', 'part')),
    role('middle', { middle: 'yes' }, gathers('part')),
    role('b', { part: 'yes' }, { rules: [rule('list')] }),
    role('a', { part: 'yes' }, { rules: [rule('get'), rule('list')] }),
  ];
  expect(verbsOf(roles, 'middle')).toEqual(['get', 'list']);
  expect(verbsOf(roles, 'top')).toEqual(['get', 'list']);
});

test('aggregates that select each other come to an end', () => {
  const roles = [
    role('one', { one: 'yes' }, gathers('two', 'part')),
    role('two', { two: 'yes' }, gathers('one')),
    role('part', { part: 'yes' }, { rules: [rule('get')] }),
  ];
  expect(verbsOf(roles, 'one')).toEqual(['get']);
  expect(verbsOf(roles, 'two')).toEqual(['get']);
});

test('a role that is as it should be is left as it is', () => {
  const part = role('part', { part: 'yes' }, { rules: [rule('get')] });
  const whole = role('whole', {}, { ...gathers('part'), rules: [rule('get')] });
  expect(aggregated([part, whole])).toEqual([part, whole]);
  expect(aggregated([part, whole])[1]).toBe(whole);
});
