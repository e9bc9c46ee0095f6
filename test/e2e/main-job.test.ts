/** The main job with the user's own commands: kubectl, unmodified, against a local cluster with imitated machines. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { whyNot } from '../requires.ts';
import { type LocalCluster, must, placeTinyImage, samples, startLocalCluster } from './local-cluster.ts';

const missing = whyNot(['kubectl']);
const namespace = 'studio-a';
const inStudio = ['-n', namespace];

describe.skipIf(missing)('kubectl asks for 200 cores', { timeout: 180_000 }, () => {
  let cluster: LocalCluster;
  beforeAll(async () => {
    cluster = await startLocalCluster();
    placeTinyImage(cluster.dir);
  }, 180_000);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, 120_000);

  const sizes = async () => {
    const { items } = await cluster.client.list(VirtualMachine, { namespace });
    return items.map(({ status }) => status?.instanceType?.cores ?? 0).sort((a, b) => b - a);
  };

  test('apply and wait', async () => {
    const files = ['00-namespace', '10-subnet', '20-image', '30-render'].flatMap((name) => [
      '-f',
      join(samples, `${name}.yaml`),
    ]);
    expect(await must(cluster.kubectl('apply', ...files))).toContain('computefactory.computefactory.io/render created');
    await must(cluster.kubectl('wait', '--for=condition=Ready', 'cf/render', ...inStudio, '--timeout=120s'));
    expect(await sizes()).toEqual([48, 48, 48, 48, 8]);
  });

  test('get shows the columns people know', async () => {
    expect(await must(cluster.kubectl('get', 'cf', ...inStudio))).toMatch(
      /NAME +CAPACITY +READY +PROVISIONED +VMS +STATUS +AGE\nrender +200 cores +200 +200 +5 +Ready/,
    );
    expect(await must(cluster.kubectl('get', 'vm', '-o', 'wide', ...inStudio))).toMatch(
      /render-local-48c-0 +Running +True +host-\d +10\.66\.0\.\d+ +48 +96Gi/,
    );
  });

  test('apply again changes nothing', async () => {
    const before = await must(
      cluster.kubectl('get', 'cf', 'render', ...inStudio, '-o', 'jsonpath={.metadata.resourceVersion}'),
    );
    expect(await must(cluster.kubectl('apply', '-f', join(samples, '30-render.yaml')))).toContain('unchanged');
    expect((await cluster.kubectl('diff', '-f', join(samples, '30-render.yaml'))).code).toBe(0);
    expect(
      await must(cluster.kubectl('get', 'cf', 'render', ...inStudio, '-o', 'jsonpath={.metadata.resourceVersion}')),
    ).toBe(before);
  });

  test('describe and explain', async () => {
    expect(await must(cluster.kubectl('describe', 'cf', 'render', ...inStudio))).toMatch(/Type: +Ready/);
    expect(await must(cluster.kubectl('explain', 'cf.spec.capacity'))).toMatch(/target\s+<integer>/);
  });

  test('an invalid object is refused with a sentence that names the field', async () => {
    const bad = join(cluster.dir, 'bad.yaml');
    writeFileSync(
      bad,
      'apiVersion: computefactory.io/v1alpha1\nkind: ComputeFactory\nmetadata: {name: bad}\nspec: {capacity: {target: -1}, shapes: [{cores: 1, memory: 1Gi}], template: {spec: {image: {name: x}}}}\n',
    );
    const { code, stderr } = await cluster.kubectl('apply', '-f', bad);
    expect(code).not.toBe(0);
    expect(stderr).toContain('spec.capacity.target');
  });

  /** Of machines that are not on their way out. */
  async function wantedUids(): Promise<string[]> {
    const { items } = await cluster.client.list(VirtualMachine, { namespace });
    return items.filter(({ metadata }) => !metadata.deletionTimestamp).map(({ metadata }) => metadata.uid);
  }

  test('scale down and up', async () => {
    await must(cluster.kubectl('scale', 'cf/render', '--replicas=80', ...inStudio));
    await must(cluster.kubectl('wait', '--for=condition=Ready', 'cf/render', ...inStudio, '--timeout=120s'));
    await expect
      .poll(async () => (await sizes()).reduce((a, b) => a + b, 0), { timeout: 60_000 })
      .toBeGreaterThanOrEqual(80);
    const uidsAt80 = await wantedUids();
    await must(cluster.kubectl('scale', 'cf/render', '--replicas=200', ...inStudio));
    await must(cluster.kubectl('wait', '--for=condition=Ready', 'cf/render', ...inStudio, '--timeout=120s'));
    expect(await wantedUids()).toEqual(expect.arrayContaining(uidsAt80));
  });

  test('edit and patch', async () => {
    const editor = join(cluster.dir, 'editor.sh');
    writeFileSync(editor, '#!/bin/sh\nsed -i "s/target: 200/target: 204/" "$1"\n', { mode: 0o755 });
    expect(await must(cluster.kubectlWith({ KUBE_EDITOR: editor }, 'edit', 'cf', 'render', ...inStudio))).toContain(
      'edited',
    );
    expect(
      await must(cluster.kubectl('get', 'cf', 'render', ...inStudio, '-o', 'jsonpath={.spec.capacity.target}')),
    ).toBe('204');
    await must(
      cluster.kubectl(
        'patch',
        'cf',
        'render',
        ...inStudio,
        '--type=merge',
        '-p',
        '{"spec":{"capacity":{"target":200}}}',
      ),
    );
    await must(cluster.kubectl('wait', '--for=condition=Ready', 'cf/render', ...inStudio, '--timeout=120s'));
  });

  test('why says that a factory is as asked', async () => {
    expect(await must(cluster.factoryctl('why', 'cf', 'render', ...inStudio))).toContain('is as asked');
  });

  test('delete waits until everything is gone', async () => {
    await must(cluster.kubectl('delete', 'cf', 'render', ...inStudio, '--wait', '--timeout=120s'));
    await expect
      .poll(async () => await must(cluster.kubectl('get', 'vm,vmp,ipl', ...inStudio, '-o', 'name')), {
        timeout: 60_000,
      })
      .toBe('');
    await must(cluster.kubectl('delete', 'namespace', namespace, '--timeout=120s'));
  });
});
