/**
 * Foreign clients, unmodified, in the main job of a local cluster: every kubectl that is to be had here, and Kubernetes' own JavaScript client.
 * All commands of kubectl are in test/kubectl/.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KubeConfig, KubernetesObjectApi, PatchStrategy, Watch } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ComputeFactory } from '#lib/api/generated/index.ts';
import { kubectlsHere } from '../kubectls.ts';
import { whyNot } from '../requires.ts';
import {
  type Answer,
  type LocalCluster,
  must,
  placeTinyImage,
  run,
  samples,
  startLocalCluster,
} from './local-cluster.ts';

const kubectls = whyNot(['kubectl']) === undefined ? kubectlsHere() : [];

let cluster: LocalCluster;
beforeAll(async () => {
  // Room for 300 cores and for what the run before left behind for a moment.
  cluster = await startLocalCluster({ hosts: 14 });
  placeTinyImage(cluster.dir);
}, 180_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
}, 120_000);

/** The samples of the main job, in a namespace of their own. */
function samplesIn(namespace: string): string {
  const texts = ['00-namespace', '10-subnet', '20-image', '30-render'].map((name) =>
    readFileSync(join(samples, `${name}.yaml`), 'utf8'),
  );
  const file = join(cluster.dir, `${namespace}.yaml`);
  // 10.66.0.0/16 is everybody's: subnets are isolated.
  writeFileSync(file, texts.join('---\n').replaceAll('studio-a', namespace));
  return file;
}

describe.each(kubectls)('kubectl 1.$minor ($file)', { timeout: 120_000 }, ({ file, minor }) => {
  const namespace = `kubectl-${minor}-${kubectls.findIndex((kubectl) => kubectl.file === file)}`;
  const home = () => join(cluster.dir, namespace);
  const environment = () => ({ KUBECONFIG: cluster.kubeconfig, HOME: home() });
  const raw = (...args: readonly string[]): Promise<Answer> => run(file, args, environment(), 90_000);
  const kubectl = (...args: readonly string[]) => must(raw(...args, '-n', namespace));
  const waitReady = () => kubectl('wait', '--for=condition=Ready', 'cf/render', '--timeout=60s');
  const target = () => kubectl('get', 'cf', 'render', '-o', 'jsonpath={.spec.capacity.target}');
  let manifest: string;

  beforeAll(() => {
    mkdirSync(home(), { recursive: true });
    manifest = samplesIn(namespace);
  });

  test('apply -f makes, then leaves alone; diff agrees', async () => {
    expect(await must(raw('apply', '-f', manifest))).toContain('computefactory.computefactory.io/render created');
    expect(await must(raw('apply', '-f', manifest))).toContain('computefactory.computefactory.io/render unchanged');
    expect((await raw('diff', '-f', manifest)).code).toBe(0);
    writeFileSync(`${manifest}.changed.yaml`, readFileSync(manifest, 'utf8').replace('target: 200', 'target: 100'));
    const { code, stdout } = await raw('diff', '-f', `${manifest}.changed.yaml`);
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/-\s+target: 200\n\+\s+target: 100/) });
    expect(await target()).toBe('200');
  });

  test('wait, get -o wide, describe, explain', async () => {
    await waitReady();
    expect(await kubectl('get', 'cf', '-o', 'wide')).toMatch(
      /NAME +CAPACITY +READY +PROVISIONED +VMS +STATUS +AGE +REASON.*\nrender +200 cores +200 +200 +5 +Ready/,
    );
    expect(await kubectl('get', 'vm', '-o', 'wide')).toMatch(
      /render-local-48c-0 +Running +True +host-\d+ +10\.66\.0\.\d+ +48 +96Gi/,
    );
    expect(await kubectl('describe', 'cf', 'render')).toMatch(/Type: +Ready.*Events:.*ScaledUp/s);
    expect(await must(raw('explain', 'cf.spec.capacity'))).toMatch(/target\s+<integer>/);
  });

  test('get -w shows every change', async () => {
    const watching = spawn(file, ['get', 'cf', 'render', '-w', '-n', namespace], {
      env: { ...process.env, ...environment() },
    });
    let seen = '';
    watching.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    try {
      await expect.poll(() => seen, { timeout: 20_000 }).toMatch(/render +200 cores/);
      await kubectl('patch', 'cf', 'render', '--type=merge', '-p', '{"spec":{"capacity":{"target":204}}}');
      await expect.poll(() => seen, { timeout: 20_000 }).toMatch(/render +204 cores/);
    } finally {
      watching.kill();
    }
  });

  test('scale to 300 units', async () => {
    expect(await kubectl('scale', 'cf/render', '--replicas=300')).toContain('scaled');
    await waitReady();
    expect(await kubectl('get', 'cf', 'render', '-o', 'jsonpath={.status.capacity.ready}')).toBe('300');
  });

  test('an invalid object is refused with a sentence that names the field', async () => {
    const bad = join(home(), 'bad.yaml');
    const text = readFileSync(manifest, 'utf8').replace('name: render', 'name: bad');
    writeFileSync(bad, text.replace('target: 200', 'target: -1'));
    const { code, stderr } = await raw('apply', '-f', bad);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/spec\.capacity\.target.*0/) });
    writeFileSync(bad, text.replace('target: 200', 'target: 200, targte: 1'));
    const unknown = await raw('apply', '-f', bad);
    expect({ code: unknown.code, stderr: unknown.stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('targte'),
    });
  });

  test('delete --wait returns when all is gone', async () => {
    await kubectl('delete', 'cf', 'render', '--wait', '--cascade=foreground', '--timeout=60s');
    expect(await kubectl('get', 'cf,vmp,vm', '-o', 'name')).toBe('');
    await must(raw('delete', 'namespace', namespace, '--timeout=60s'));
  });
});

describe('@kubernetes/client-node', { timeout: 60_000 }, () => {
  const namespace = 'client-node';
  const config = () => {
    const loaded = new KubeConfig();
    loaded.loadFromFile(cluster.kubeconfig);
    return loaded;
  };
  const apiVersion = 'computefactory.io/v1alpha1';
  const factory = (target: number) => ({
    apiVersion,
    kind: 'ComputeFactory',
    metadata: { name: 'small', namespace },
    spec: {
      capacity: { target },
      shapes: [{ cores: 2, memory: '1Gi' }],
      template: { spec: { image: { name: 'tiny' } } },
    },
  });

  test('creates, lists, watches, patches and deletes', async () => {
    const api = KubernetesObjectApi.makeApiClient(config());
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const source = { source: { file: { path: 'tiny.img' } } };
    await api.create({ apiVersion, kind: 'Image', metadata: { name: 'tiny', namespace }, spec: source } as never);
    await api.create(factory(4));

    const list = await api.list(apiVersion, 'ComputeFactory', namespace);
    expect(list.items.map(({ metadata }) => metadata?.name)).toEqual(['small']);

    const events: string[] = [];
    const seen = (type: string, object: ComputeFactory) =>
      events.push(
        `${type} ${object.metadata.name} ${object.status?.capacity?.ready ?? 0}/${object.spec?.capacity.target}`,
      );
    const path = `/apis/${apiVersion}/namespaces/${namespace}/computefactories`;
    const watch = await new Watch(config()).watch(
      path,
      { resourceVersion: list.metadata?.resourceVersion },
      seen,
      () => {},
    );
    try {
      await expect.poll(() => events, { timeout: 30_000 }).toContain('MODIFIED small 4/4');
      await api.patch(factory(6), undefined, undefined, 'client-node', undefined, PatchStrategy.MergePatch);
      await expect.poll(() => events, { timeout: 30_000 }).toContain('MODIFIED small 6/6');
      expect(await api.read(factory(6))).toMatchObject({ status: { capacity: { ready: 6, text: '6 cores' } } });
      await api.delete(factory(6));
      await expect.poll(() => events, { timeout: 30_000 }).toContainEqual(expect.stringMatching(/^DELETED small/));
    } finally {
      watch.abort();
    }
    expect(await cluster.client.list(ComputeFactory, { namespace })).toMatchObject({ items: [] });
  });

  test('is told by code and reason what was wrong', async () => {
    const api = KubernetesObjectApi.makeApiClient(config());
    await expect(api.create(factory(-1))).rejects.toMatchObject({
      code: 422,
      body: expect.stringContaining('spec.capacity.target'),
    });
    await expect(api.read(factory(0))).rejects.toMatchObject({ code: 404 });
  });
});
