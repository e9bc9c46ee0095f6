/** Who may do what, compared with an oracle of its own: every verb on every kind, part and namespace, by users of every role. */
import { readFileSync } from 'node:fs';
import type { ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { type Account, type Cell, matrix } from './cells.ts';
import { collectionOf, confinementCells, type Fact, facts } from './confinement.ts';
import { type Manifest, Oracle, type Who, type Wish } from './oracle.ts';
import { openSession, type Sent, send, sendAll } from './send.ts';

const authenticated = 'system:authenticated';
const namespaces = ['alpha', 'beta'];
const robot = 'system:serviceaccount:beta:robot';
const clusterServers = 'system:computefactory:cluster-server';
const rbac = 'rbac.authorization.k8s.io';

const account = (name: string, ...groups: readonly string[]): Account => ({
  name,
  token: `token-of-${name}`,
  groups: [...groups, authenticated],
});
const accounts: readonly Account[] = [
  account('root', 'system:masters'),
  account('nobody'),
  ...['viewer', 'editor', 'tenant-admin', 'operator', 'parts', 'named', 'stars', 'granter', 'impersonator'].map(
    (name) => account(name),
  ),
  account('audrey', 'auditors'),
  account(robot),
  account('program-a', 'system:computefactory:controllers'),
  account('program-b', clusterServers),
  account(`${clusterServers}:lab`, clusterServers),
  account(`${clusterServers}:annex`, clusterServers),
  account(`${clusterServers}:gone`, clusterServers),
];
const byName = (name: string): Account => accounts.find((known) => known.name === name)!;

const manifests = parseAllDocuments(readFileSync(join(import.meta.dirname, 'roles.yaml'), 'utf8')).map(
  (document) => document.toJS() as Manifest,
);

let started: TestServer;
let session: ClientHttp2Session;
let oracle: Oracle;

beforeAll(async () => {
  const tokens = accounts.map(
    ({ name, token, groups }) => `${token},${name},,"${groups.filter((group) => group !== authenticated).join(',')}"`,
  );
  started = await startTestServer({ tokens: `${tokens.join('\n')}\n` });
  session = openSession(started.server.url, started.authority.certificate);
  for (const name of namespaces)
    await make('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  for (const manifest of manifests) await make(pathOf(manifest), manifest);
  for (const fact of facts) await makeFact(fact);
  oracle = new Oracle([...(await defaults()), ...manifests]);
  await settled();
}, 60_000);
afterAll(async () => {
  session?.close();
  await started?.[Symbol.asyncDispose]();
});

async function make(path: string, body: object): Promise<void> {
  const reply = await started.request(path, { method: 'POST', body });
  expect(reply.status, reply.text).toBe(201);
}

async function makeFact(fact: Fact): Promise<void> {
  const { group, version, kind, name, content, status } = fact;
  const apiVersion = group === '' ? version : `${group}/${version}`;
  await make(collectionOf(fact), { apiVersion, kind, metadata: { name }, ...content });
  if (status === undefined) return;
  const headers = { 'content-type': 'application/merge-patch+json' };
  const path = `${collectionOf(fact)}/${name}/status`;
  const reply = await started.request(path, { method: 'PATCH', headers, body: { status } });
  expect(reply.status, reply.text).toBe(200);
}

function pathOf({ kind, metadata }: Manifest): string {
  const plural = `${kind.toLowerCase()}s`;
  return metadata.namespace === undefined
    ? `/apis/${rbac}/v1/${plural}`
    : `/apis/${rbac}/v1/namespaces/${metadata.namespace}/${plural}`;
}

/** The server's default roles and bindings, as they were before those of the matrix were made. */
async function defaults(): Promise<Manifest[]> {
  const own = new Set(manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`));
  const lists = ['ClusterRole', 'ClusterRoleBinding'].map(async (kind) => {
    const { items } = (await started.request(`/apis/${rbac}/v1/${kind.toLowerCase()}s`)).json() as unknown as {
      items: Manifest[];
    };
    return items.filter(({ metadata }) => !own.has(`${kind} ${metadata.name}`)).map((item) => ({ ...item, kind }));
  });
  return (await Promise.all(lists)).flat();
}

/** The server learns of roles a moment after they are written: until it has, its answers say nothing. */
async function settled(): Promise<void> {
  const last = { ...byName(robot), method: 'GET', path: '/api/v1/namespaces/beta/configmaps' };
  await vi.waitFor(async () => expect((await send(session, last)).status).toBe(200), 10_000);
}

function wasRefused({ status, text }: Sent): boolean {
  return status === 403 && / cannot \w+ (?:resource|path) /.test(text);
}

/** Cells whose answer is not what the oracle says, in words. */
function deviations(cells: readonly Cell[], answers: readonly Sent[]): string[] {
  return cells.flatMap((cell, index) => {
    const { who, method, path, wishes } = cell;
    const answer = answers[index]!;
    const allowed = wishes.every((wish) => oracle.may(who, wish));
    const strange = answer.status === 0 || answer.status === 401 || answer.status === 429 || answer.status >= 500;
    if (allowed !== wasRefused(answer) && !strange) return [];
    return [
      `${who.name} ${method} ${path}: ${answer.status}, should be ${allowed ? 'allowed' : 'refused'}: ${answer.text.slice(0, 200)}`,
    ];
  });
}

test('every verb on every kind, part and namespace, by users of every role', { timeout: 120_000 }, async () => {
  const cells = matrix(accounts, namespaces);
  const answers = await sendAll(session, cells, 24);
  expect(deviations(cells, answers)).toEqual([]);
  expect(cells.length).toBeGreaterThan(5_000);
  const allowed = answers.filter((answer) => !wasRefused(answer)).length;
  console.info(`Authorization matrix: ${cells.length} cells, ${allowed} of them allowed`);
  // A server that refuses, or an oracle that allows, everything would agree about nothing.
  expect(allowed).toBeGreaterThan(cells.length / 10);
  expect(allowed).toBeLessThan(cells.length * 0.9);
});

test('every verb on objects that are bound to one cluster, to another, or to none, by their cluster servers', async () => {
  const cells = confinementCells(accounts.filter(({ groups }) => groups.includes(clusterServers)));
  const answers = await sendAll(session, cells, 24);
  expect(deviations(cells, answers)).toEqual([]);
  const allowed = cells.filter((_, index) => !wasRefused(answers[index]!));
  const byServer = Map.groupBy(allowed, ({ who }) => who.name);
  const counts = [...byServer].map(([name, { length }]) => `${name.split(':').at(-1)} ${length}`);
  console.info(`Cluster servers: ${cells.length} cells, allowed: ${counts.join(', ')}`);
  expect([...byServer.keys()].toSorted()).toEqual(['annex', 'lab'].map((name) => `${clusterServers}:${name}`));
}, 60_000);

test('paths that are no resources', async () => {
  const paths = [
    '/metrics',
    '/api',
    '/apis',
    '/api/v1',
    '/apis/computefactory.io/v1alpha1',
    '/openapi/v2',
    '/openapi/v3',
    '/openapi/v3/api/v1',
    '/nowhere',
    '/Metrics',
    '/metrics/',
  ];
  const requests = accounts.flatMap((who) => paths.map((path) => ({ who, token: who.token, method: 'GET', path })));
  const answers = await sendAll(session, requests, 24);
  const wrong = requests.filter(({ who, path }, index) => oracle.mayVisit(who, path) === wasRefused(answers[index]!));
  expect(wrong.map(({ who, path }) => `${who.name} ${path}`)).toEqual([]);
});

describe('impersonation', () => {
  const users = ['viewer', 'named', 'editor', 'root', robot];
  const groups = [[], ['auditors'], ['system:masters'], ['auditors', 'system:masters']];
  const extras = [{}, { 'impersonate-extra-team': 'film' }, { 'impersonate-extra-team': 'sound' }];
  const target = { verb: 'list', group: '', resource: 'configmaps', namespace: 'alpha' };

  function demands(user: string, list: readonly string[], extra: Readonly<Record<string, string>>): Wish[] {
    const [, , namespace, name] = user.split(':');
    const impersonate = (resource: string, wish: Partial<Wish>): Wish => ({
      verb: 'impersonate',
      group: '',
      resource,
      ...wish,
    });
    return [
      namespace && name ? impersonate('serviceaccounts', { namespace, name }) : impersonate('users', { name: user }),
      ...list.map((group) => impersonate('groups', { name: group })),
      ...Object.values(extra).map((value) =>
        impersonate('userextras/team', { group: 'authentication.k8s.io', name: value }),
      ),
    ];
  }

  test('each thing that is claimed needs a right, and then the other one’s rights count', async () => {
    const cells = accounts.flatMap((who) =>
      users.flatMap((user) => groups.flatMap((list) => extras.map((extra) => ({ who, user, list, extra })))),
    );
    const requests = cells.map(({ who, user, list, extra }) => ({
      token: who.token,
      method: 'GET',
      path: '/api/v1/namespaces/alpha/configmaps',
      headers: { 'impersonate-user': user, ...(list.length > 0 ? { 'impersonate-group': [...list] } : {}), ...extra },
    }));
    const answers = await sendAll(session, requests, 24);
    const wrong = cells.filter(({ who, user, list, extra }, index) => {
      const other: Who = { name: user, groups: [...list, authenticated] };
      const allowed = demands(user, list, extra).every((wish) => oracle.may(who, wish)) && oracle.may(other, target);
      return allowed === wasRefused(answers[index]!);
    });
    expect(wrong).toEqual([]);
  });

  test('groups without a user are no request', async () => {
    const headers = { 'impersonate-group': 'auditors' };
    expect((await send(session, { method: 'GET', path: '/api', token: byName('root').token, headers })).status).toBe(
      400,
    );
  });
});

describe('nobody gives away more than they have', () => {
  const rules = [
    [{ apiGroups: ['computefactory.io'], resources: ['vmpools'], verbs: ['get', 'list'] }],
    [{ apiGroups: ['computefactory.io'], resources: ['vmpools'], resourceNames: ['one'], verbs: ['get'] }],
    [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }],
    [{ apiGroups: ['', 'computefactory.io'], resources: ['configmaps', 'vmpools/scale'], verbs: ['*'] }],
    [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
    [],
  ];
  const roleRefs = [
    ...['view', 'edit', 'admin', 'cluster-admin', 'matrix-parts'].map((name) => ({ kind: 'ClusterRole', name })),
    { kind: 'Role', name: 'named' },
  ];

  async function check(
    path: string,
    bodyOf: (index: number) => object,
    expected: readonly ((who: Who) => boolean)[],
  ): Promise<void> {
    const cells = accounts.flatMap((who) => expected.map((may, index) => ({ who, may, index })));
    const requests = cells.map(({ who, index }) => ({
      token: who.token,
      method: 'POST',
      path: `${path}?dryRun=All`,
      body: bodyOf(index),
    }));
    const answers = await sendAll(session, requests, 24);
    const wrong = cells.filter(({ who, may }, index) => may(who) !== (answers[index]!.status === 201));
    expect(wrong.map(({ who, index }) => `${who.name} ${path} ${index}`)).toEqual([]);
  }

  test.each(namespaces)('by roles in %s', async (namespace) => {
    const wish = (verb: string): Wish => ({ verb, group: rbac, resource: 'roles', namespace });
    const bodyOf = (index: number) => ({
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata: { name: 'new' },
      rules: rules[index],
    });
    const expected = rules.map(
      (list) => (who: Who) =>
        oracle.may(who, wish('create')) && (oracle.may(who, wish('escalate')) || oracle.holds(who, list, namespace)),
    );
    await check(`/apis/${rbac}/v1/namespaces/${namespace}/roles`, bodyOf, expected);
  });

  test.each(['alpha', undefined])('by bindings in %s', async (namespace) => {
    const plural = namespace === undefined ? 'clusterrolebindings' : 'rolebindings';
    const place = namespace === undefined ? {} : { namespace };
    const kind = namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding';
    const refs = namespace === undefined ? roleRefs.filter((ref) => ref.kind === 'ClusterRole') : roleRefs;
    const subjects = [{ kind: 'User', name: 'friend', apiGroup: rbac }];
    const bodyOf = (index: number) => ({
      apiVersion: `${rbac}/v1`,
      kind,
      metadata: { name: 'new' },
      subjects,
      roleRef: { ...refs[index], apiGroup: rbac },
    });
    const expected = refs.map(
      (ref) => (who: Who) =>
        oracle.may(who, { verb: 'create', group: rbac, resource: plural, ...place }) &&
        oracle.mayBind(who, ref, namespace),
    );
    const prefix = namespace === undefined ? '' : `namespaces/${namespace}/`;
    await check(`/apis/${rbac}/v1/${prefix}${plural}`, bodyOf, expected);
  });

  test('refusals name what is missing, in the words of Kubernetes', async () => {
    const body = { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name: 'new' }, rules: rules[2] };
    const path = `/apis/${rbac}/v1/namespaces/alpha/roles`;
    const { text } = await send(session, { method: 'POST', path, body, token: byName('granter').token });
    expect((JSON.parse(text) as { message: string }).message).toBe(
      'roles.rbac.authorization.k8s.io "new" is forbidden: user "granter" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
    );
  });

  test('an aggregated role needs everything', async () => {
    const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] };
    const body = {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'new' },
      rules: [],
      aggregationRule,
    };
    const path = `/apis/${rbac}/v1/clusterroles?dryRun=All`;
    const refused = await send(session, { method: 'POST', path, body, token: byName('granter').token });
    expect(refused.text).toContain('must have cluster-admin privileges to use the aggregationRule');
    expect((await send(session, { method: 'POST', path, body, token: byName('root').token })).status).toBe(201);
  });
});

describe('names that look like others do not slip past', () => {
  const secret = '/api/v1/namespaces/alpha/secrets/one';
  const disguises = [
    '/API/V1/namespaces/alpha/secrets/one',
    '/api/v1/namespaces/alpha/Secrets/one',
    '/api/v1/Namespaces/alpha/secrets/one',
    '/api/v1/namespaces/ALPHA/secrets/one',
    '/api/v1/namespaces/alpha/configmaps/..;/secrets/one',
    '/api/v1/namespaces/alpha/configmaps/../secrets/one',
    '/api/v1/namespaces/alpha/configmaps/%2e%2e/secrets/one',
    '/api/v1/namespaces/alpha/configmaps/..%2fsecrets%2fone',
    '/api/v1/namespaces/alpha%2fsecrets/one',
    '/api/v1/secrets/alpha%2fone',
    '/api/v1/configmaps/..%2fsecrets%2falpha%2fone',
    '//api/v1/namespaces/alpha/secrets/one',
    '/api//v1/namespaces/alpha/secrets/one',
    '/api/v1/namespaces/alpha/secrets/one/',
    '/api/v1/namespaces/alpha/secrets/one;x=y',
    '/api/v1/namespaces/alpha/secrets/%6fne',
    '/api/v1/watch/namespaces/alpha/secrets/one',
  ];

  test('whoever may not read a secret gets it under no name', async () => {
    const value = 'canary';
    await make('/api/v1/namespaces/alpha/secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'one' },
      stringData: { value },
    });
    expect((await started.request(secret)).text).toContain(Buffer.from(value).toString('base64'));
    for (const { name, token } of ['nobody', 'viewer', 'stars', 'audrey', 'operator'].map(byName))
      for (const path of [secret, ...disguises]) {
        const answer = await send(session, { method: 'GET', path, token });
        expect([400, 403, 404], `${name} ${path}: ${answer.text}`).toContain(answer.status);
      }
  });

  test('a refusal is the same whether the object is there or not', async () => {
    const [there, not] = await sendAll(
      session,
      [secret, secret.replace('one', 'two')].map((path) => ({ method: 'GET', path, token: byName('viewer').token })),
      1,
    );
    expect(there!.status).toBe(403);
    expect(there!.text).toBe(not!.text.replaceAll('"two"', '"one"').replaceAll('\\"two\\"', '\\"one\\"'));
  });
});

describe('the default roles', () => {
  const may = async (user: string, wish: Wish) => {
    const { verb, group, resource, namespace, name } = wish;
    const [plural, subresource] = resource.split('/');
    const resourceAttributes = { verb, group, resource: plural, subresource, namespace, name };
    const spec = { user, groups: [...byName(user).groups], resourceAttributes };
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
    const reply = await started.request('/apis/authorization.k8s.io/v1/subjectaccessreviews', { method: 'POST', body });
    return (reply.json() as { status?: { allowed?: boolean } }).status?.allowed;
  };
  const factory = 'computefactory.io';

  test.each([
    ['viewer', { verb: 'list', group: factory, resource: 'vmpools' }, true],
    ['viewer', { verb: 'get', group: '', resource: 'secrets' }, false],
    ['viewer', { verb: 'get', group: factory, resource: 'virtualmachines/console' }, false],
    ['viewer', { verb: 'get', group: factory, resource: 'virtualmachines/log' }, true],
    ['operator', { verb: 'get', group: factory, resource: 'virtualmachines/log' }, false],
    ['viewer', { verb: 'update', group: factory, resource: 'vmpools' }, false],
    ['editor', { verb: 'create', group: factory, resource: 'computefactories' }, true],
    ['editor', { verb: 'patch', group: factory, resource: 'computefactories/scale' }, true],
    ['editor', { verb: 'get', group: '', resource: 'secrets' }, true],
    ['editor', { verb: 'get', group: factory, resource: 'virtualmachines/console' }, true],
    ['editor', { verb: 'get', group: factory, resource: 'virtualmachines/log' }, true],
    ...(['vnc', 'screenshot'] as const).flatMap((what) => [
      ['viewer', { verb: 'get', group: factory, resource: `virtualmachines/${what}` }, false] as const,
      ['editor', { verb: 'get', group: factory, resource: `virtualmachines/${what}` }, true] as const,
    ]),
    ['viewer', { verb: 'create', group: factory, resource: 'virtualmachines/exec' }, false],
    ['editor', { verb: 'create', group: factory, resource: 'virtualmachines/exec' }, true],
    ['editor', { verb: 'get', group: factory, resource: 'virtualmachines/exec' }, false],
    ...(['get', 'update'] as const).flatMap((verb) => [
      ['viewer', { verb, group: factory, resource: 'images/upload' }, false] as const,
      ['editor', { verb, group: factory, resource: 'images/upload' }, true] as const,
      ['operator', { verb, group: factory, resource: 'images/upload' }, false] as const,
    ]),
    ['operator', { verb: 'get', group: factory, resource: 'virtualmachines/screenshot' }, false],
    ['editor', { verb: 'update', group: factory, resource: 'virtualmachines/status' }, false],
    ['editor', { verb: 'create', group: rbac, resource: 'rolebindings' }, false],
    ['tenant-admin', { verb: 'create', group: rbac, resource: 'rolebindings' }, true],
    ['tenant-admin', { verb: 'delete', group: '', resource: 'namespaces', name: 'alpha' }, false],
    ['operator', { verb: 'list', group: factory, resource: 'hosts' }, true],
    ['operator', { verb: 'delete', group: '', resource: 'namespaces', name: 'alpha' }, true],
    ['operator', { verb: 'get', group: '', resource: 'secrets' }, false],
    ['operator', { verb: 'delete', group: factory, resource: 'virtualmachines' }, false],
    ['program-b', { verb: 'update', group: factory, resource: 'virtualmachines/status', name: 'held-lab' }, false],
    [
      `${clusterServers}:lab`,
      { verb: 'update', group: factory, resource: 'virtualmachines/status', name: 'held-lab' },
      true,
    ],
    [`${clusterServers}:lab`, { verb: 'update', group: factory, resource: 'virtualmachines', name: 'held-lab' }, false],
    ['program-b', { verb: 'list', group: '', resource: 'secrets' }, false],
    ['nobody', { verb: 'list', group: factory, resource: 'instancetypes' }, true],
    ['nobody', { verb: 'list', group: factory, resource: 'vmpools' }, false],
  ] as const)('%s: %o is %s', async (user, wish, expected) => {
    expect(await may(user, { ...wish, namespace: 'alpha' })).toBe(expected);
  });
});
