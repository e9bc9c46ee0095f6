/** The rules find what they are there to find: a proof by them would be worth nothing otherwise. */
import { expect, it } from 'vitest';
import { violationsOf } from './rules.ts';

const ours = '/apis/computefactory.io/v1alpha1';
const pool = {
  apiVersion: 'computefactory.io/v1alpha1',
  kind: 'VMPool',
  metadata: { name: 'a', resourceVersion: '1' },
};

function ask(method: string, url: string, headers: Record<string, string> = {}, body?: object): string[] {
  const { pathname: path, searchParams: query } = new URL(url, 'http://server');
  const type = body && !headers['content-type'] ? { 'content-type': 'application/json' } : {};
  return violationsOf({
    ...{ method, path, query, body: body ? JSON.stringify(body) : '' },
    headers: { accept: 'application/json', ...type, ...headers },
  });
}

it.each([
  ['a list', 'GET', `${ours}/vmpools?limit=500&labelSelector=a%3Db%2Cc%20in%20(d%2Ce)&fieldSelector=metadata.name%3Da`],
  ['a watch', 'GET', `${ours}/vmpools?watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300`],
  ['discovery', 'GET', '/apis/computefactory.io/v1alpha1'],
  ['a namespace', 'GET', '/api/v1/namespaces/team'],
])('%s is plain', (_, method, url) => expect(ask(method, url)).toEqual([]));

it('writes are plain', () => {
  expect(ask('PUT', `${ours}/namespaces/team/vmpools/a/status`, {}, pool)).toEqual([]);
  expect(ask('PUT', '/api/v1/namespaces/team/finalize', {}, { ...pool, apiVersion: 'v1', kind: 'Namespace' })).toEqual(
    [],
  );
  expect(ask('DELETE', `${ours}/namespaces/team/vmpools/a`, {}, { preconditions: { uid: 'u' } })).toEqual([]);
});

const merge = { 'content-type': 'application/merge-patch+json' };
const strategic = { 'content-type': 'application/strategic-merge-patch+json' };
const one = `${ours}/namespaces/team/vmpools/a`;
const half = `${ours}/vmpools?watch=true&sendInitialEvents=true`;

it.each<[string, string, string, Record<string, string>, object | undefined]>([
  ['GET of VirtualMachine/console', 'GET', `${ours}/namespaces/team/virtualmachines/a/console`, {}, undefined],
  ['is not served', 'GET', '/api/v1/pods', {}, undefined],
  ['query parameter deep', 'GET', `${ours}/vmpools?deep=true`, {}, undefined],
  ['field selector', 'GET', `${ours}/vmpools?fieldSelector=spec.replicas%3D1`, {}, undefined],
  ['label selector', 'GET', `${ours}/vmpools?labelSelector=a%20like%20b`, {}, undefined],
  ['sendInitialEvents', 'GET', half, {}, undefined],
  ['header x-factory', 'GET', `${ours}/vmpools`, { 'x-factory': '1' }, undefined],
  ['accept', 'GET', `${ours}/vmpools`, { accept: 'application/json;as=Table' }, undefined],
  ['without resourceVersion', 'PUT', one, {}, { ...pool, metadata: { name: 'a' } }],
  ['PUT of InstanceType/scale', 'PUT', `${ours}/instancetypes/a/scale`, {}, pool],
  ['POST of VMPool', 'POST', one, {}, pool],
  ['without a namespace', 'POST', `${ours}/vmpools`, {}, { ...pool, metadata: { name: 'a' } }],
  ['another namespace', 'PUT', one, {}, { ...pool, metadata: { ...pool.metadata, namespace: 'other' } }],
  ['VMPool for', 'PUT', `${ours}/namespaces/team/subnets/a`, {}, pool],
  ['content type', 'PATCH', one, strategic, {}],
  ['DeleteOptions force', 'DELETE', one, {}, { force: true }],
  ['ConfigMap with spec', 'PATCH', '/api/v1/namespaces/team/configmaps/a', merge, { spec: {} }],
  ['metadata owner', 'PATCH', one, merge, { metadata: { owner: 1 } }],
])('finds %s in %s %s', (expected, method, url, headers, body) => {
  expect(ask(method, url, headers, body)).toContainEqual(expect.stringContaining(expected));
});
