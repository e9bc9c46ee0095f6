/** kubectl apply --server-side, and the way there from kubectl apply and back, with every kubectl that is to be had here. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import { createKubectl, type Kubectl } from '#apiserver/testing/kubectl.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { kubectlsHere } from './kubectls.ts';
import { whyNot } from './requires.ts';

const kubectls = whyNot(['kubectl']) === undefined ? kubectlsHere() : [];

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

const factory = (name: string, spec: object) =>
  JSON.stringify({
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'ComputeFactory',
    metadata: { name },
    spec: {
      shapes: [{ flexible: { maxCores: 48, memoryPerCore: '2Gi' } }],
      template: { spec: { image: { name: 'debian' } } },
      ...spec,
    },
  });
const configMap = (name: string, data: object, labels?: object) =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data });

describe.each(kubectls)('kubectl 1.$minor ($file)', { timeout: 120_000 }, ({ file, minor }) => {
  const prefix = `k${minor}-${kubectls.findIndex((kubectl) => kubectl.file === file)}`;
  let kubectl: Kubectl;
  beforeAll(() => {
    kubectl = createKubectl(started, file);
  });

  async function run(arguments_: readonly string[], input?: string): Promise<string> {
    const output = await kubectl(arguments_, input === undefined ? {} : { input });
    expect(output).toMatchObject({ code: 0 });
    return output.stdout;
  }
  const apply = (text: string, ...more: readonly string[]) => run(['apply', '-f', '-', ...more], text);
  const serverSide = (text: string, ...more: readonly string[]) => apply(text, '--server-side', ...more);

  async function read(path: string): Promise<JsonObject> {
    return (await started.request(path)).json();
  }
  const readFactory = (name: string) =>
    read(`/apis/computefactory.io/v1alpha1/namespaces/default/computefactories/${name}`);
  const readMap = (name: string) => read(`/api/v1/namespaces/default/configmaps/${name}`);

  test('applies; applying again writes nothing', async () => {
    const name = `${prefix}-again`;
    expect(await serverSide(factory(name, { capacity: { target: 200 } }))).toContain('serverside-applied');
    const { metadata } = await readFactory(name);
    for (let turn = 0; turn < 3; turn++) await serverSide(factory(name, { capacity: { target: 200 } }));
    expect((await readFactory(name)).metadata).toEqual(metadata);
    expect(metadata).toMatchObject({ managedFields: [{ manager: 'kubectl', operation: 'Apply' }] });
  });

  test('tells who owns what is in the way, and takes it only by force', async () => {
    const name = `${prefix}-conflict`;
    await serverSide(factory(name, { capacity: { target: 200 } }));
    const other = ['apply', '--server-side', '--field-manager=other', '-f', '-'];
    const input = factory(name, { capacity: { target: 80 } });
    const refused = await kubectl(other, { input });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('conflict with "kubectl": .spec.capacity.target');
    expect(await run([...other, '--force-conflicts'], input)).toContain('serverside-applied');
    expect(await readFactory(name)).toMatchObject({ spec: { capacity: { target: 80 } } });
  });

  test('shows the difference that a server-side apply would make', async () => {
    const name = `${prefix}-diff`;
    await serverSide(factory(name, { capacity: { target: 200 } }));
    const diff = (target: number) =>
      kubectl(['diff', '--server-side', '-f', '-'], { input: factory(name, { capacity: { target } }) });
    expect(await diff(200)).toMatchObject({ code: 0, stdout: '' });
    const { code, stdout } = await diff(80);
    expect(code).toBe(1);
    expect(stdout).toMatch(/-\s+target: 200\n\+\s+target: 80/);
    expect(await readFactory(name)).toMatchObject({ spec: { capacity: { target: 200 } } });
  });

  test('goes from client-side to server-side apply and back; what is left out goes away each time', async () => {
    const name = `${prefix}-moving`;
    await apply(configMap(name, { a: '1', b: '1', c: '1' }, { l: '1' }));
    await serverSide(configMap(name, { a: '2', b: '1', c: '1' }, { l: '2' }));
    expect(await readMap(name)).toMatchObject({ data: { a: '2', b: '1', c: '1' }, metadata: { labels: { l: '2' } } });
    await serverSide(configMap(name, { a: '2', b: '1' }, { l: '2' }));
    // Before 1.26 kubectl leaves its older entry as a second owner.
    if (minor >= 26) expect((await readMap(name)).data).toEqual({ a: '2', b: '1' });
    const last = await run(['apply', 'view-last-applied', 'configmap', name, '-o', 'json']);
    expect(JSON.parse(last)).toMatchObject({ data: { a: '2', b: '1' } });
    await apply(configMap(name, { a: '3' }));
    expect((await readMap(name)).data).toMatchObject({ a: '3' });
    expect((await readMap(name)).data).not.toHaveProperty('b');
    await serverSide(configMap(name, { a: '4' }));
    expect((await readMap(name)).data).toMatchObject({ a: '4' });
  });

  test('does so for a kind of our own', async () => {
    const name = `${prefix}-kind`;
    await apply(factory(name, { capacity: { target: 200 }, paused: true }));
    await serverSide(factory(name, { capacity: { target: 100 } }));
    await apply(factory(name, { capacity: { target: 90 } }));
    expect(await apply(factory(name, { capacity: { target: 90 } }))).toContain('unchanged');
    await serverSide(factory(name, { capacity: { target: 80 } }));
    expect(await readFactory(name)).toMatchObject({ spec: { capacity: { target: 80 } } });
  });
});
