/** One cluster server tries to reach what is another's: to read it, to write it, to take it, to make it look like its own. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import { type Reply, readLines } from '#apiserver/testing/http.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { clusterServerUser, programGroups } from '#lib/api/names.ts';

const factory = '/apis/computefactory.io/v1alpha1';
const machines = `${factory}/namespaces/default/virtualmachines`;
const apiVersion = 'computefactory.io/v1alpha1';
const secrets = '/api/v1/namespaces/cf-system/secrets';
const leases = '/apis/coordination.k8s.io/v1/namespaces/cf-system/leases';
const clusters = ['lab', 'annex'] as const;
type Cluster = (typeof clusters)[number];
const tokenOf = (cluster: string) => `token-of-${cluster}`;

let started: TestServer;
beforeAll(async () => {
  const row = (cluster: string) => `${tokenOf(cluster)},${clusterServerUser(cluster)},,${programGroups.clusterServer}`;
  const nameless = `${tokenOf('nobody')},${programGroups.clusterServer},,${programGroups.clusterServer}`;
  started = await startTestServer({ tokens: [...clusters.map(row), row('gone-soon'), nameless, ''].join('\n') });
  for (const name of clusters) await make('clusters', name, clusterSpec);
});
afterAll(() => started[Symbol.asyncDispose]());

const clusterSpec = { masters: ['http://127.0.0.1:5050'], executor: { command: '/bin/executor' } };
const machineSpec = { image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' } };
const merge = { 'content-type': 'application/merge-patch+json' };

async function ok(reply: Promise<Reply>): Promise<JsonObject> {
  const { status, text, json } = await reply;
  expect(status, text).toBeLessThan(300);
  return json();
}

const kinds: Readonly<Record<string, string>> = {
  ...{
    clusters: 'Cluster',
    hosts: 'Host',
    images: 'Image',
    volumes: 'Volume',
    virtualmachines: 'VirtualMachine',
    vmoperations: 'VMOperation',
    vmsnapshots: 'VMSnapshot',
    vmrestores: 'VMRestore',
  },
};
const collectionOf = (plural: string) =>
  ['clusters', 'hosts'].includes(plural) ? `${factory}/${plural}` : `${factory}/namespaces/default/${plural}`;

/** By an administrator. */
async function make(plural: string, name: string, spec: object, status?: object): Promise<JsonObject> {
  const path = collectionOf(plural);
  const body = { apiVersion, kind: kinds[plural], metadata: { name }, spec };
  const made = await ok(started.request(path, { method: 'POST', body }));
  if (status === undefined) return made;
  return await ok(started.request(`${path}/${name}/status`, { method: 'PATCH', headers: merge, body: { status } }));
}

const get = (cluster: string, path: string) => started.request(path, { token: tokenOf(cluster) });

/** As a cluster server writes status: the object that it knows, with a status of its own. */
function putStatus(cluster: string, plural: string, object: JsonObject, status: object): Promise<Reply> {
  const { name } = object.metadata as { name: string };
  const path = `${collectionOf(plural)}/${name}/status`;
  return started.request(path, { method: 'PUT', token: tokenOf(cluster), body: { ...object, status } });
}

async function refused(reply: Promise<Reply>, why: RegExp): Promise<void> {
  const { status, json } = await reply;
  expect([status, json().message]).toEqual([403, expect.stringMatching(why)]);
}

const at = (cluster: string, host = 'h1') => ({ phase: 'Running', attempt: { number: 1, cluster, host } });
const cannot = /cannot \w+ resource .*may touch only what is bound to its Cluster/;
let counter = 0;
let name: string;
beforeEach(() => {
  counter += 1;
  name = `m${counter}`;
});

describe('machines', () => {
  test('another cluster’s are neither read nor written, and refused like those that are not there', async () => {
    const theirs = await make('virtualmachines', name, machineSpec, at('annex'));
    await refused(get('lab', `${machines}/${name}`), cannot);
    await refused(putStatus('lab', 'virtualmachines', theirs, at('lab')), cannot);
    const [there, not] = await Promise.all([get('lab', `${machines}/${name}`), get('lab', `${machines}/nowhere`)]);
    expect(there.text.replaceAll(name, 'nowhere')).toBe(not.text);
    for (const selector of [
      '',
      '?fieldSelector=status.attempt.cluster%3Dannex',
      '?fieldSelector=status.phase%3DRunning',
    ])
      await refused(get('lab', `${machines}${selector}`), cannot);
    await ok(get('annex', `${machines}/${name}`));
    const { items } = (await ok(get('lab', `${machines}?fieldSelector=status.attempt.cluster%3Dlab`))) as {
      items: { metadata: { name: string } }[];
    };
    expect(items.map(({ metadata }) => metadata.name)).not.toContain(name);
  });

  test('its own stay its own until it closes their attempt, and cannot be pushed to another', async () => {
    const own = await make('virtualmachines', name, machineSpec, at('lab'));
    await refused(
      putStatus('lab', 'virtualmachines', own, at('annex')),
      /would not be bound to Cluster "lab" any more/,
    );
    await refused(putStatus('lab', 'virtualmachines', own, { attempt: { number: 2 } }), /any more/);
    const lives = await ok(putStatus('lab', 'virtualmachines', own, at('lab', 'h2')));
    const over = await ok(putStatus('lab', 'virtualmachines', lives, { phase: 'Running' }));
    // Nobody's for now: whether it runs again is for the controllers to say.
    await vi.waitFor(() => refused(putStatus('lab', 'virtualmachines', over, at('lab')), cannot));
  });

  test('one that is open to all is taken by the first, for its own Cluster alone', async () => {
    const open = await make('virtualmachines', name, machineSpec, { phase: 'Scheduling' });
    await refused(putStatus('lab', 'virtualmachines', open, at('annex')), /would not be bound/);
    await refused(putStatus('nobody', 'virtualmachines', open, at('lab')), /of no Cluster/);
    const taken = await ok(putStatus('lab', 'virtualmachines', open, at('lab')));
    await vi.waitFor(() => refused(get('annex', `${machines}/${name}`), cannot));
    await refused(putStatus('annex', 'virtualmachines', taken, at('annex')), cannot);
  });

  test('even one that its cluster server has not yet heard of being taken', async () => {
    const open = await make('virtualmachines', name, machineSpec, { phase: 'Scheduling' });
    const claims = await Promise.all(
      clusters.map((cluster) => putStatus(cluster, 'virtualmachines', open, at(cluster))),
    );
    expect(claims.map(({ status }) => status).toSorted()).toEqual([200, expect.toBeOneOf([403, 409])]);
  });

  test('one that is wanted elsewhere is read there, and written only where it still runs', async () => {
    const spec = { ...machineSpec, placement: { cluster: 'annex' } };
    const moving = await make('virtualmachines', name, spec, at('lab'));
    await ok(get('annex', `${machines}/${name}`));
    await refused(putStatus('annex', 'virtualmachines', moving, at('annex')), cannot);
    const over = await ok(putStatus('lab', 'virtualmachines', moving, { phase: 'Scheduling' }));
    await vi.waitFor(() => refused(putStatus('lab', 'virtualmachines', over, at('lab')), cannot));
    await ok(putStatus('annex', 'virtualmachines', over, at('annex')));
  });

  test('a watch tells that one is gone elsewhere, and nothing of what becomes of it there', async () => {
    const spec = { ...machineSpec, placement: { cluster: 'lab' } };
    await make('virtualmachines', name, { ...spec, userData: 'before' });
    const selector = `metadata.name%3D${name}%2Cspec.placement.cluster%3Dlab`;
    const url = `${started.server.url}${machines}?watch=1&resourceVersion=0&fieldSelector=${selector}`;
    const options = { ca: started.authority.certificate, token: tokenOf('lab') };
    let moved = false;
    const lines = await readLines(url, options, (known) => {
      if (known.length === 1 && !moved) {
        moved = true;
        const body = { spec: { placement: { cluster: 'annex' }, userData: 'after' } };
        void started.request(`${machines}/${name}`, { method: 'PATCH', headers: merge, body });
      }
      return known.length === 2;
    });
    expect(lines).toMatchObject([
      { type: 'ADDED', object: { spec: { userData: 'before' } } },
      { type: 'DELETED', object: { spec: { placement: { cluster: 'lab' }, userData: 'before' } } },
    ]);
  });
});

describe('hosts and what opens their consoles', () => {
  const hostOf = (cluster: string, hostname: string, metadata: object = {}) => ({
    ...{ apiVersion, kind: 'Host', spec: { cluster, hostname } },
    metadata: { name: `${cluster}-${hostname}`, ...metadata },
  });
  const makeHost = (cluster: Cluster, body: object) =>
    started.request(`${factory}/hosts`, { method: 'POST', token: tokenOf(cluster), body });
  const makeSecret = (cluster: Cluster, secret: string, owner: object, more: object = {}) => {
    const metadata = { name: secret, ownerReferences: [owner] };
    const body = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data: { token: 'eA==' }, ...more };
    return started.request(secrets, { method: 'POST', token: tokenOf(cluster), body });
  };
  const referenceTo = ({ metadata }: JsonObject) => {
    const { name: host, uid } = metadata as { name: string; uid: string };
    return { apiVersion, kind: 'Host', name: host, uid };
  };

  test('hosts are made for its own Cluster, under the name that follows from it', async () => {
    await refused(makeHost('lab', hostOf('annex', name)), /not bound to Cluster "lab"/);
    await refused(makeHost('lab', hostOf('lab', name, { name: `annex-${name}` })), /is named after both/);
    await refused(makeHost('lab', hostOf('lab', name, { labels: { 'computefactory.io/cluster': 'annex' } })), /label/);
    const owner = { apiVersion, kind: 'Cluster', name: 'annex', uid: 'x', blockOwnerDeletion: true };
    await refused(makeHost('lab', hostOf('lab', name, { ownerReferences: [owner] })), /has no owner/);
    const host = await ok(makeHost('lab', hostOf('lab', name)));
    await vi.waitFor(() => ok(putStatus('lab', 'hosts', host, { displayStatus: 'Ready' })));
    await refused(putStatus('annex', 'hosts', host, { displayStatus: 'Ready' }), cannot);
    await refused(get('annex', `${factory}/hosts`), cannot);
    await refused(get('annex', `${factory}/hosts?fieldSelector=spec.cluster%3Dlab`), cannot);
  });

  test('secrets are written for its own hosts, and read by nobody of them', async () => {
    const [own, theirs] = [
      await make('hosts', `lab-${name}`, { cluster: 'lab', hostname: name }),
      await make('hosts', `annex-${name}`, { cluster: 'annex', hostname: name }),
    ];
    const secret = `console-lab-${name}`;
    await refused(makeSecret('lab', `console-annex-${name}`, referenceTo(theirs)), /not bound/);
    await refused(makeSecret('lab', 'image-credentials', referenceTo(own)), /not bound/);
    await refused(makeSecret('lab', `console-lab-${name}-2`, referenceTo(own)), /not bound/);
    await refused(makeSecret('lab', secret, referenceTo(theirs)), /its one owner must be the Host/);
    const type = 'example.com/other';
    await refused(makeSecret('lab', secret, referenceTo(own), { type }), /Opaque/);
    await ok(makeSecret('lab', secret, referenceTo(own)));
    const patch = (cluster: Cluster, at: string) =>
      started.request(`${secrets}/${at}`, {
        ...{ method: 'PATCH', token: tokenOf(cluster), headers: merge, body: { data: { token: 'eQ==' } } },
      });
    await ok(patch('lab', secret));
    await refused(patch('annex', secret), cannot);
    await refused(get('lab', `${secrets}/${secret}`), cannot);
    await refused(get('lab', secrets), cannot);
    await refused(get('lab', '/api/v1/secrets'), cannot);
  });

  test('a lease is its own or none', async () => {
    const lease = (cluster: string) => ({
      ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: `cluster-server-${cluster}` } },
      spec: { holderIdentity: 'lab' },
    });
    const post = (body: object) => started.request(leases, { method: 'POST', token: tokenOf('lab'), body });
    await refused(post(lease('annex')), /one lease, cf-system\/cluster-server-lab/);
    await ok(post(lease('lab')));
    await refused(get('lab', `${leases}/factory-controllers`), cannot);
  });
});

describe('images and operations', () => {
  test('of a Volume of its own it writes what its hosts tell, and not who may write to it', async () => {
    const spec = { cluster: 'lab', type: 'Disk', size: '1Gi', backend: { gluster: { volume: 'vm' } } };
    const writer = { uid: 'u', name: 'a', grant: 1 };
    const own = await make('volumes', name, spec, { writer });
    const told = { backend: { state: 'Made' }, health: { reason: 'Healthy', hosts: 1 }, used: '1Mi' };
    await refused(
      putStatus('lab', 'volumes', own, { writer: { ...writer, grant: 2 }, ...told }),
      /only what its hosts tell/,
    );
    await refused(putStatus('annex', 'volumes', own, { writer, ...told }), cannot);
    await ok(putStatus('lab', 'volumes', own, { writer, ...told }));
    const volumes = `${factory}/volumes`;
    await refused(get('annex', `${volumes}?fieldSelector=spec.cluster%3Dlab`), cannot);
    await refused(get('lab', volumes), cannot);
    await ok(get('lab', `${volumes}?fieldSelector=spec.cluster%3Dlab`));
  });

  const row = (cluster: string, phase: string) => ({ name: cluster, phase });

  test('of an image it writes the row of its Cluster', async () => {
    const clusterRows = [row('annex', 'Ready'), row('lab', 'Pending')];
    const spec = { source: { file: { path: 'debian.qcow2' } } };
    const image = await make('images', name, spec, { phase: 'Pending', clusters: clusterRows });
    const put = (status: object) => putStatus('lab', 'images', image, status);
    const wrong = /writes only the row of its Cluster "lab"/;
    await refused(put({ phase: 'Pending', clusters: [row('annex', 'Failed'), row('lab', 'Ready')] }), wrong);
    await refused(put({ phase: 'Ready', clusters: clusterRows }), wrong);
    await refused(put({ phase: 'Pending', digest: 'a'.repeat(64), clusters: clusterRows }), wrong);
    await refused(put({ phase: 'Pending', clusters: [row('lab', 'Ready')] }), wrong);
    await refused(put({ phase: 'Pending', clusters: [row('annex', 'Ready')] }), /not bound/);
    await ok(put({ phase: 'Pending', clusters: [row('annex', 'Ready'), row('lab', 'Ready')] }));
  });

  test('an operation is carried out where its machine is, and not passed on', async () => {
    const spec = { vm: name, type: 'Stop' };
    const operation = await make('vmoperations', name, spec, { phase: 'Pending', cluster: 'lab', vmUID: 'u1' });
    const put = (cluster: Cluster, status: object) => putStatus(cluster, 'vmoperations', operation, status);
    await refused(put('annex', { phase: 'Completed', cluster: 'annex', vmUID: 'u1' }), cannot);
    await refused(put('lab', { phase: 'InProgress', cluster: 'annex', vmUID: 'u1' }), /any more/);
    await refused(put('lab', { phase: 'InProgress', cluster: 'lab', vmUID: 'u2' }), /any more/);
    await ok(put('lab', { phase: 'InProgress', cluster: 'lab', vmUID: 'u1' }));
  });
});

test('of a snapshot it says what its host tells, and neither whose disk it is nor what a new machine is made of', async () => {
  const bound = {
    phase: 'InProgress',
    cluster: 'lab',
    host: 'h1',
    vmUID: 'u1',
    machine: '{"image":{"name":"debian"}}',
  };
  const snapshot = await make('vmsnapshots', 'of-lab', { vm: 'web' }, bound);
  const put = (cluster: Cluster, change: object) =>
    putStatus(cluster, 'vmsnapshots', snapshot, { ...bound, ...change });
  await refused(put('annex', { phase: 'Ready' }), cannot);
  for (const change of [{ cluster: 'annex' }, { vmUID: 'u2' }, { machine: '{"userDataSecretRef":{"name":"x"}}' }])
    await refused(put('lab', change), /only what its hosts tell/);
  const disks = [{ name: 'root', digest: 'a'.repeat(64) }];
  await ok(put('lab', { phase: 'Ready', size: 7, disks, message: 'Taken' }));
  const told = { phase: 'InProgress', cluster: 'lab', vmUID: 'u1', digest: 'a'.repeat(64) };
  const restore = await make('vmrestores', 'of-lab', { snapshot: 'of-lab', target: { vm: 'web' } }, told);
  await refused(
    putStatus('lab', 'vmrestores', restore, { ...told, digest: 'b'.repeat(64) }),
    /only what its hosts tell/,
  );
  await ok(putStatus('lab', 'vmrestores', restore, { ...told, phase: 'Completed' }));
});

test('of its Cluster it writes the status; others are not there for it', async () => {
  const own = await ok(get('lab', `${factory}/clusters/lab`));
  await ok(putStatus('lab', 'clusters', own, { displayStatus: 'Ready' }));
  await refused(get('lab', `${factory}/clusters/annex`), cannot);
  await refused(get('lab', `${factory}/clusters`), cannot);
});

test('who one is and what one may do is told, with the note that it holds for what is its own', async () => {
  const base = '/apis/authorization.k8s.io/v1';
  const ask = (plural: string, kind: string, spec: object) =>
    ok(
      started.request(`${base}/${plural}`, {
        ...{ method: 'POST', token: tokenOf('lab'), body: { apiVersion: 'authorization.k8s.io/v1', kind, spec } },
      }),
    );
  expect(await ask('selfsubjectrulesreviews', 'SelfSubjectRulesReview', { namespace: 'default' })).toMatchObject({
    status: { incomplete: true, evaluationError: expect.stringContaining('bound to its Cluster') },
  });
  const hosts = { verb: 'list', group: 'computefactory.io', resource: 'hosts' };
  const selecting = (cluster: string) => ({
    ...hosts,
    fieldSelector: { requirements: [{ key: 'spec.cluster', operator: 'In', values: [cluster] }] },
  });
  for (const [resourceAttributes, allowed] of [
    [hosts, false],
    [selecting('lab'), true],
    [selecting('annex'), false],
  ] as const)
    expect(await ask('selfsubjectaccessreviews', 'SelfSubjectAccessReview', { resourceAttributes })).toMatchObject({
      status: { allowed },
    });
});

test('with its Cluster its sight of machines that are open to all ends, also in a watch that goes on', async () => {
  await make('clusters', 'gone-soon', clusterSpec);
  const fields = 'spec.placement.cluster=,status.attempt.cluster=,status.phase=Scheduling';
  const path = `${machines}?watch=1&fieldSelector=${encodeURIComponent(fields)}`;
  await vi.waitFor(() => ok(get('gone-soon', path.replace('watch=1&', ''))));
  const watching = get('gone-soon', path);
  await ok(started.request(`${factory}/clusters/gone-soon`, { method: 'DELETE' }));
  await expect(watching).resolves.toMatchObject({ status: 200 });
  await refused(get('gone-soon', path), cannot);
});

test('a Secret is read for as long as a machine that needs it has its attempt on the Cluster, and by no other', async () => {
  const tenantSecrets = '/api/v1/namespaces/default/secrets';
  const secret = (of: string) => ({
    ...{ apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name: of }, stringData: { password: 'x' } },
  });
  for (const of of [`${name}-own`, `${name}-other`])
    await ok(started.request(tenantSecrets, { method: 'POST', body: secret(of) }));
  const spec = { ...machineSpec, adminPasswordSecretRef: { name: `${name}-own` } };
  const vm = await make('virtualmachines', name, spec, { phase: 'Scheduling' });
  await refused(get('lab', `${tenantSecrets}/${name}-own`), cannot);
  const taken = await ok(putStatus('lab', 'virtualmachines', vm, at('lab')));
  await vi.waitFor(() => ok(get('lab', `${tenantSecrets}/${name}-own`)));
  await refused(get('lab', `${tenantSecrets}/${name}-other`), cannot);
  await refused(get('annex', `${tenantSecrets}/${name}-own`), cannot);
  await refused(get('lab', tenantSecrets), cannot);
  await ok(putStatus('lab', 'virtualmachines', taken, { phase: 'Scheduling' }));
  await vi.waitFor(() => refused(get('lab', `${tenantSecrets}/${name}-own`), cannot));
});
