/** Kinds that are defined while the server runs, by clients that know nothing of it: every kubectl that is to be had here, and client-node. */
import { KubernetesObjectApi, PatchStrategy } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createKubectl } from '#apiserver/testing/kubectl.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { kubeConfig } from './client-node/config.ts';
import { kubectlsHere } from './kubectls.ts';
import { whyNot } from './requires.ts';

const kubectls = whyNot(['kubectl']) === undefined ? kubectlsHere() : [];

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer({ crds: [] });
});
afterAll(() => started[Symbol.asyncDispose]());

const text = (description: string) => ({ type: 'string', description });

function gadgets(group: string, fields: object, columns: readonly object[] = []) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `gadgets.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'gadgets', kind: 'Gadget', shortNames: ['gd'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          additionalPrinterColumns: [{ name: 'Colour', type: 'string', jsonPath: '.spec.colour' }, ...columns],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: { spec: { type: 'object', properties: { colour: text('What it looks like.'), ...fields } } },
            },
          },
        },
      ],
    },
  };
}

const gadget = (group: string, spec: object) => ({
  apiVersion: `${group}/v1`,
  kind: 'Gadget',
  metadata: { name: 'first', namespace: 'default' },
  spec,
});

describe.each(kubectls)('kubectl 1.$minor ($file)', { timeout: 120_000 }, ({ file, minor }) => {
  const group = `k${minor}-${kubectls.findIndex((kubectl) => kubectl.file === file)}.example.dev`;
  const crd = `crd/gadgets.${group}`;

  test('defines a kind, uses it, changes it and takes it away', async () => {
    const kubectl = createKubectl(started, file);
    const run = async (arguments_: readonly string[], input: object = {}): Promise<string> => {
      const { code, stdout, stderr } = await kubectl(arguments_, { input: stringify(input) });
      expect({ code, arguments_, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, arguments_, stderr: '' });
      return stdout;
    };
    const apply = (object: object) => run(['apply', '-f', '-'], object);
    const colours = text('Another field.');

    expect(await apply(gadgets(group, {}))).toContain('created');
    await run(['wait', '--for=condition=Established', crd, '--timeout=20s']);
    expect(await apply(gadgets(group, {}))).toContain('unchanged');
    expect(await run(['api-resources', `--api-group=${group}`])).toMatch(/^gadgets +gd +\S+ +true +Gadget$/m);
    expect(await run(['explain', 'gadgets.spec'])).toMatch(/colour\s+<string>\s+What it looks like\./);

    expect(await apply(gadget(group, { colour: 'blue' }))).toContain('created');
    expect(await apply(gadget(group, { colour: 'blue' }))).toContain('unchanged');
    expect(await run(['get', 'gd'])).toMatch(/^NAME +COLOUR\s*\nfirst +blue\s*$/);
    const unknown = await kubectl(['apply', '-f', '-'], { input: stringify(gadget(group, { size: 'L' })) });
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('size') });

    await apply(gadgets(group, { size: colours }, [{ name: 'Size', type: 'string', jsonPath: '.spec.size' }]));
    expect(await run(['explain', 'gadgets.spec.size'])).toContain('Another field.');
    expect(await apply(gadget(group, { colour: 'red', size: 'L' }))).toContain('configured');
    expect(await run(['get', 'gd'])).toMatch(/first +red +L/);

    await run(['delete', crd, '--timeout=30s']);
    const gone = await kubectl(['get', 'gadgets']);
    expect(gone).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/doesn't have a resource type|not find the requested resource/),
    });
  });
});

test('@kubernetes/client-node finds a kind that was defined a moment ago', { timeout: 60_000 }, async () => {
  const group = 'node.example.dev';
  const api = KubernetesObjectApi.makeApiClient(kubeConfig(started));
  await api.create(gadgets(group, {}));
  const established = async () => {
    const { status } = (await api.read(gadgets(group, {}))) as unknown as {
      status?: { conditions?: { type: string; status: string }[] };
    };
    return status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True');
  };
  await expect.poll(established, { timeout: 10_000 }).toBe(true);
  await api.create(gadget(group, { colour: 'blue' }));
  const changed = gadget(group, { colour: 'green' });
  await api.patch(changed, undefined, undefined, undefined, undefined, PatchStrategy.MergePatch);
  expect(await api.read(changed)).toMatchObject({ spec: { colour: 'green' } });
  expect((await api.list(`${group}/v1`, 'Gadget', 'default')).items).toHaveLength(1);
  await api.delete(changed);
  await api.delete(gadgets(group, {}));
  const gone = async () => (await started.request(`/apis/${group}/v1`)).status;
  await expect.poll(gone, { timeout: 10_000 }).toBe(404);
});
