import { describe, expect, test } from 'vitest';
import { requestInfo } from '#apiserver/http/request-info.ts';
import { decide, defaultPolicy, readPolicy } from './policy.ts';

const policy = readPolicy(`
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: None, users: [system:robot], verbs: [watch]}
  - {level: None, nonResourceURLs: [/livez*, /version]}
  - {level: Request, resources: [{group: "", resources: [configmaps], resourceNames: [watched]}]}
  - {level: RequestResponse, namespaces: [audited], omitStages: [ResponseStarted]}
  - {level: RequestResponse, resources: [{group: example.com}, {group: "", resources: [pods/*, "*/scale"]}]}
  - {level: Metadata, userGroups: [people]}
`);

const user = (name: string, ...groups: string[]) => ({ name, groups });
const jo = user('jo', 'people');

describe('the first rule that matches decides', () => {
  test.each([
    ['GET', '/api/v1/configmaps?watch=1', user('system:robot'), 'None'],
    ['GET', '/livez/etcd', jo, 'None'],
    ['GET', '/version', jo, 'None'],
    ['GET', '/apis', jo, 'Metadata'],
    ['PUT', '/api/v1/namespaces/a/configmaps/watched', jo, 'Request'],
    ['PUT', '/api/v1/namespaces/a/configmaps/other', jo, 'Metadata'],
    ['PUT', '/api/v1/namespaces/audited/configmaps/other', jo, 'RequestResponse'],
    ['PUT', '/api/v1/namespaces/audited/secrets/s', jo, 'Metadata'],
    ['POST', '/api/v1/namespaces/audited/serviceaccounts/s/token', jo, 'Metadata'],
    ['GET', '/apis/example.com/v1/anything', jo, 'RequestResponse'],
    ['GET', '/api/v1/namespaces/a/pods/p/log', jo, 'RequestResponse'],
    ['GET', '/api/v1/namespaces/a/pods/p', jo, 'Metadata'],
    ['GET', '/api/v1/namespaces/a/things/t/scale', jo, 'RequestResponse'],
    ['GET', '/apis', user('nobody'), 'None'],
  ])('%s %s', (method, path, who, level) => {
    expect(decide(policy, requestInfo(method, path), who).level).toBe(level);
  });

  test('stages are left out by the rule and by the policy', () => {
    const { omits } = decide(policy, requestInfo('GET', '/api/v1/namespaces/audited/configmaps'), jo);
    expect([omits('RequestReceived'), omits('ResponseStarted'), omits('ResponseComplete')]).toEqual([
      true,
      true,
      false,
    ]);
  });
});

test('without a policy everything but probes is written down, without bodies', () => {
  const level = (path: string) => decide(defaultPolicy, requestInfo('GET', path), jo).level;
  expect([level('/readyz'), level('/metrics'), level('/api/v1/secrets')]).toEqual(['None', 'None', 'Metadata']);
});

test.each([
  ['kind: Policy', /apiVersion audit.k8s.io\/v1/],
  ['{apiVersion: audit.k8s.io/v1, kind: Policy}', /no rules/],
  ['{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: All}]}', /rules\[0\]: level must be one of/],
  [
    '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, user: [a]}]}',
    /rules\[0\]: unknown field "user"/,
  ],
  ['{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, users: a}]}', /users must be a list/],
  [
    '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, omitStages: [Begin]}]}',
    /omitStages must be a list of Req/,
  ],
])('%s is refused', (text, why) => {
  expect(() => readPolicy(text)).toThrow(why);
});
