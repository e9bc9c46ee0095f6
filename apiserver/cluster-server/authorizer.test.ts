import { describe, expect, test } from 'vitest';
import type { Attributes, ResourceAttributes } from '#apiserver/auth/attributes.ts';
import { parseFieldTerms } from '#apiserver/selectors/fields.ts';
import { clusterServerUser, group, programGroups } from '#lib/api/names.ts';
import { confineClusterServers, type Find } from './authorizer.ts';

const objects: Readonly<Record<string, object>> = {
  'clusters//lab': {},
  'hosts//lab-h1': { spec: { cluster: 'lab' } },
  'virtualmachines/team/a': { spec: {}, status: { attempt: { cluster: 'lab' } } },
  'virtualmachines/team/b': { spec: {}, status: { attempt: { cluster: 'annex' } } },
};
let looked = 0;
const find: Find = (plural, namespace = '', name) => {
  looked += 1;
  return objects[`${plural}/${namespace}/${name}`] as ReturnType<Find>;
};
const authorizer = confineClusterServers(find, (...secret) => secret.join() === 'lab,team,needed');
const lab = { name: clusterServerUser('lab'), groups: [programGroups.clusterServer] };
const ask = (user: { name: string; groups: string[] }, attributes: Attributes) => authorizer(user, attributes).verdict;
const machine = (verb: string, more: Partial<ResourceAttributes> = {}): ResourceAttributes => ({
  ...{ verb, group, resource: 'virtualmachines', namespace: 'team', ...more },
});
const secret = (verb: string, more: object) => ({ verb, group: '', resource: 'secrets', namespace: 'team', ...more });
const selecting = (text: string) => ({ fieldSelector: parseFieldTerms(text) });

describe('confineClusterServers()', () => {
  test('has no opinion of anybody else, and looks nothing up for them', () => {
    looked = 0;
    for (const user of [
      { name: 'vera', groups: ['system:authenticated'] },
      { name: 'manager', groups: [programGroups.controllers] },
      // A name alone makes no cluster server: roles are given to the group.
      { name: lab.name, groups: [] },
    ])
      expect(ask(user, machine('update', { name: 'b' }))).toBe('none');
    expect(looked).toBe(0);
  });

  test('allows nothing itself: what is its own is left to the roles, all else is refused', () => {
    expect(ask(lab, machine('get', { name: 'a' }))).toBe('none');
    expect(ask(lab, machine('get', { name: 'b' }))).toBe('deny');
    expect(ask(lab, machine('get', { name: 'nowhere' }))).toBe('deny');
    expect(ask(lab, { verb: 'get', group: '', resource: 'configmaps', namespace: 'team', name: 'a' })).toBe('deny');
    expect(ask(lab, { verb: 'get', group: 'example.com', resource: 'virtualmachines', name: 'a' })).toBe('deny');
    expect(ask(lab, { verb: 'impersonate', group: '', resource: 'users', name: 'admin' })).toBe('deny');
    expect(ask(lab, { verb: 'get', path: '/apis' })).toBe('none');
  });

  test.each(['', clusterServerUser(''), `${programGroups.clusterServer}-lab`, 'lab'])(
    'of a member of the group called "%s" nothing is known to be its own',
    (name) => {
      const user = { name, groups: [programGroups.clusterServer] };
      expect(ask(user, machine('list', selecting('spec.placement.cluster=')))).toBe('deny');
      expect(ask(user, machine('get', { name: 'a' }))).toBe('deny');
      expect(ask(user, { verb: 'list', group, resource: 'instancetypes' })).toBe('none');
    },
  );

  test('a selection counts only as one term among all that are asked for, and as equality', () => {
    expect(ask(lab, machine('list', selecting('status.attempt.cluster=lab,status.phase=Running')))).toBe('none');
    expect(ask(lab, machine('watch', selecting('status.attempt.cluster!=lab')))).toBe('deny');
    expect(ask(lab, machine('deletecollection', selecting('status.attempt.cluster=lab')))).toBe('deny');
    expect(
      ask(
        lab,
        machine('list', { labelSelector: [{ key: 'spec.placement.cluster', operator: 'In', values: ['lab'] }] }),
      ),
    ).toBe('deny');
  });

  test('costs a look-up or two', () => {
    looked = 0;
    ask(lab, machine('update', { name: 'a', subresource: 'status' }));
    ask(lab, { verb: 'patch', group: '', resource: 'secrets', namespace: 'cf-system', name: 'console-lab-h1' });
    expect(looked).toBeLessThanOrEqual(3);
  });

  test('a Secret that a machine of its own needs may be read, not listed and not written; no other one', () => {
    expect(ask(lab, secret('get', { name: 'needed' }))).toBe('none');
    expect(ask(lab, secret('get', { name: 'other' }))).toBe('deny');
    expect(ask(lab, secret('get', { name: 'needed', namespace: 'elsewhere' }))).toBe('deny');
    for (const verb of ['list', 'watch', 'get', 'deletecollection']) expect(ask(lab, secret(verb, {}))).toBe('deny');
    for (const verb of ['list', 'watch', 'update', 'patch', 'delete'])
      expect(ask(lab, secret(verb, { name: 'needed' }))).toBe('deny');
  });
});
