/** A right that is taken away ends the watches that it allowed, soon: 5 s are promised. */
import { request } from 'node:https';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

const rbac = 'rbac.authorization.k8s.io';
const bindings = `/apis/${rbac}/v1/namespaces/default/rolebindings`;
const watching = '/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0';
const promisedMs = 5_000;

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer({ tokens: 'token-of-vera,vera,,\ntoken-of-max,max,,\n' });
});
afterAll(() => started[Symbol.asyncDispose]());

async function bind(name: string, user: string, role = 'view'): Promise<void> {
  const subjects = [{ kind: 'User', name: user, apiGroup: rbac }];
  const roleRef = { apiGroup: rbac, kind: 'ClusterRole', name: role };
  const body = { apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata: { name }, subjects, roleRef };
  const reply = await started.request(bindings, { method: 'POST', body });
  expect(reply.status, reply.text).toBe(201);
}

interface Watch {
  readonly ended: Promise<void>;
  readonly isOpen: () => boolean;
  readonly close: () => void;
}

function openWatch(token: string, headers: Readonly<Record<string, string>> = {}): Promise<Watch> {
  const { promise, resolve, reject } = Promise.withResolvers<Watch>();
  const outgoing = request(`${started.server.url}${watching}`, {
    ca: started.authority.certificate,
    agent: false,
    headers: { authorization: `Bearer ${token}`, ...headers },
  });
  outgoing.on('error', reject).on('response', (response) => {
    if (response.statusCode !== 200) {
      response.resume();
      return reject(new Error(`status ${response.statusCode}`));
    }
    let open = true;
    const ended = new Promise<void>((done) => {
      response.on('close', () => {
        open = false;
        done();
      });
    });
    response.resume();
    resolve({ ended, isOpen: () => open, close: () => outgoing.destroy() });
  });
  outgoing.end();
  return promise;
}

/** Once the server has learned of the right, which takes a moment. */
function watchOnceAllowed(token: string, headers?: Readonly<Record<string, string>>): Promise<Watch> {
  return vi.waitFor(() => openWatch(token, headers), 5_000);
}

async function endsInTime(watch: Watch): Promise<void> {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error('The watch goes on')), promisedMs).unref());
  await Promise.race([watch.ended, late]);
}

test('a binding that is deleted ends the watches that it allowed, and no others', async () => {
  await bind('vera', 'vera');
  await bind('max', 'max');
  const vera = await watchOnceAllowed('token-of-vera');
  const max = await watchOnceAllowed('token-of-max');
  await started.request(`${bindings}/vera`, { method: 'DELETE' });
  await endsInTime(vera);
  expect(max.isOpen()).toBe(true);
  await expect(openWatch('token-of-vera')).rejects.toThrow('status 403');
  max.close();
  await started.request(`${bindings}/max`, { method: 'DELETE' });
});

test('a role that allows less ends them too', async () => {
  const role = { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name: 'maps' } };
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['watch'] }];
  await started.request(`/apis/${rbac}/v1/clusterroles`, { method: 'POST', body: { ...role, rules } });
  await bind('vera', 'vera', 'maps');
  const watch = await watchOnceAllowed('token-of-vera');
  const headers = { 'content-type': 'application/merge-patch+json' };
  await started.request(`/apis/${rbac}/v1/clusterroles/maps`, { method: 'PATCH', headers, body: { rules: [] } });
  await endsInTime(watch);
  await started.request(`${bindings}/vera`, { method: 'DELETE' });
});

test('whoever may no longer speak for another loses the watches that it opened as that one', async () => {
  const role = { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name: 'speaker' } };
  const rules = [{ apiGroups: [''], resources: ['users'], resourceNames: ['vera'], verbs: ['impersonate'] }];
  await started.request(`/apis/${rbac}/v1/clusterroles`, { method: 'POST', body: { ...role, rules } });
  const subjects = [{ kind: 'User', name: 'max', apiGroup: rbac }];
  const roleRef = { apiGroup: rbac, kind: 'ClusterRole', name: 'speaker' };
  const body = {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'speaker' },
    subjects,
    roleRef,
  };
  await started.request(`/apis/${rbac}/v1/clusterrolebindings`, { method: 'POST', body });
  await bind('vera', 'vera');
  const asVera = await watchOnceAllowed('token-of-max', { 'impersonate-user': 'vera' });
  const vera = await watchOnceAllowed('token-of-vera');
  await started.request(`/apis/${rbac}/v1/clusterrolebindings/speaker`, { method: 'DELETE' });
  await endsInTime(asVera);
  expect(vera.isOpen()).toBe(true);
  vera.close();
});
