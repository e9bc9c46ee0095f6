/** kubectl's own questions about access, with every kubectl that is to be had here. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { readSigningKey } from '#apiserver/auth/jwt.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { must, run } from './e2e/local-cluster.ts';
import { kubectlsHere } from './kubectls.ts';
import { whyNot } from './requires.ts';

const kubectls = whyNot(['kubectl']) === undefined ? kubectlsHere() : [];
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const serviceAccounts = { issuer: 'https://tokens.example', signingKey: readSigningKey(pem), olderKeys: [] };
const viewer = 'token-of-vera';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer({ tokens: `${viewer},vera,7,"film,sound"\n`, serviceAccounts });
});
afterAll(() => started[Symbol.asyncDispose]());

function kubeconfig(home: string, token: string): string {
  const ca = Buffer.from(started.authority.certificate).toString('base64');
  const file = join(home, `config-${token.slice(-20)}`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: started.server.url, 'certificate-authority-data': ca } }],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user', namespace: 'default' } }],
    'current-context': 'test',
  };
  writeFileSync(file, stringify(config), { mode: 0o600 });
  return file;
}

const roles = (namespace: string) => `
apiVersion: v1
kind: Namespace
metadata: {name: ${namespace}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: machines, namespace: ${namespace}}
rules:
- apiGroups: [computefactory.io]
  resources: [virtualmachines, vmpools/scale]
  verbs: [get, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: vera, namespace: ${namespace}}
subjects: [{kind: User, name: vera, apiGroup: rbac.authorization.k8s.io}]
roleRef: {kind: Role, name: machines, apiGroup: rbac.authorization.k8s.io}
`;

describe.each(kubectls)('kubectl 1.$minor ($file)', { timeout: 120_000 }, ({ file, minor }) => {
  const namespace = `auth-${minor}-${kubectls.findIndex((kubectl) => kubectl.file === file)}`;
  let home: string;
  beforeAll(() => {
    home = join(started.folder, namespace);
    mkdirSync(home, { recursive: true });
  });
  const as = (token: string, ...args: readonly string[]) =>
    run(file, [...args, '-n', namespace], { HOME: home, KUBECONFIG: kubeconfig(home, token) }, 60_000);

  test('auth reconcile makes roles and bindings, apply then finds nothing to do', async () => {
    const manifest = join(home, 'roles.yaml');
    const [namespaceOnly] = roles(namespace).split('---');
    writeFileSync(manifest, namespaceOnly!);
    await must(as(started.token, 'apply', '-f', manifest));
    writeFileSync(manifest, roles(namespace).slice(namespaceOnly!.length));
    expect(await must(as(started.token, 'auth', 'reconcile', '-f', manifest))).toMatch(
      /machines reconciled\n.*vera reconciled/,
    );
    await must(as(started.token, 'apply', '-f', manifest));
    expect(await must(as(started.token, 'apply', '-f', manifest))).toMatch(/machines unchanged\n.*vera unchanged/);
    await must(as(started.token, 'create', 'role', 'made', '--verb=get', '--resource=configmaps'));
    expect(await must(as(started.token, 'get', 'roles', '-o', 'name'))).toContain('/made');
  });

  test('auth can-i answers for oneself and for others', async () => {
    await expect.poll(async () => (await as(viewer, 'auth', 'can-i', 'list', 'virtualmachines')).stdout).toBe('yes\n');
    expect((await as(viewer, 'auth', 'can-i', 'get', 'vmpools', '--subresource=scale')).stdout).toBe('yes\n');
    const no = await as(viewer, 'auth', 'can-i', 'delete', 'virtualmachines');
    expect(no).toMatchObject({ code: 1, stdout: 'no\n' });
    expect((await as(started.token, 'auth', 'can-i', 'list', 'vm', '--as', 'vera')).stdout).toBe('yes\n');
    expect((await as(started.token, 'auth', 'can-i', '*', '*')).stdout).toBe('yes\n');
    expect((await as(viewer, 'auth', 'can-i', 'get', '/version')).stdout).toBe('yes\n');
  });

  test('auth can-i --list names the rights of a namespace', async () => {
    const list = await must(as(viewer, 'auth', 'can-i', '--list'));
    expect(list).toMatch(/virtualmachines\.computefactory\.io +\[\] +\[\] +\[get list\]/);
    expect(list).toMatch(/\[\/api\/\*\]/);
  });

  // `whoami` came with 1.26, and asks for the version that is served here since 1.28.
  test.runIf(minor >= 28)('auth whoami names user, uid and groups', async () => {
    const told = await must(as(viewer, 'auth', 'whoami'));
    expect(told).toMatch(/Username +vera/);
    expect(told).toMatch(/\[film sound system:authenticated\]/);
  });

  // `create token` came with 1.24.
  test.runIf(minor >= 24)('create token gives a token of a ServiceAccount, with its rights', async () => {
    await must(as(started.token, 'create', 'serviceaccount', 'robot'));
    await must(
      as(started.token, 'create', 'rolebinding', 'robot', '--clusterrole=view', `--serviceaccount=${namespace}:robot`),
    );
    const token = (await must(as(started.token, 'create', 'token', 'robot', '--duration=20m'))).trim();
    await expect.poll(async () => (await as(token, 'auth', 'can-i', 'list', 'vmpools')).stdout).toBe('yes\n');
    expect((await as(token, 'auth', 'can-i', 'list', 'secrets')).stdout).toBe('no\n');
  });

  test('what may not be done says so in the words of Kubernetes', async () => {
    const refused = await as(viewer, 'delete', 'vm', 'none');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      `virtualmachines.computefactory.io "none" is forbidden: User "vera" cannot delete resource "virtualmachines" in API group "computefactory.io" in the namespace "${namespace}"`,
    );
  });
});
