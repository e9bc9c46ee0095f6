/** What a user does with an unmodified kubectl. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKubectl, type Kubectl, kubectlVersion } from './testing/kubectl.ts';
import { startTestServer, type TestServer } from './testing/start.ts';

const version = kubectlVersion();
if (!version) console.warn('Skipped: tests with kubectl, because none is installed here');

const factory = (capacity: string) => `
apiVersion: computefactory.io/v1alpha1
kind: ComputeFactory
metadata: {name: render}
spec:
  capacity: ${capacity}
  shapes: [{flexible: {maxCores: 48, memoryPerCore: 2Gi}}]
  template: {spec: {image: {name: debian}}}
`;

describe.skipIf(!version)(`kubectl ${version}`, () => {
  let started: TestServer;
  let kubectl: Kubectl;

  beforeAll(async () => {
    started = await startTestServer();
    kubectl = createKubectl(started);
  });
  afterAll(() => started[Symbol.asyncDispose]());

  /** Expects success and gives what was printed. */
  async function run(arguments_: readonly string[], input?: string, editor?: string): Promise<string> {
    const output = await kubectl(arguments_, { ...(input ? { input } : {}), ...(editor ? { editor } : {}) });
    expect(output.stderr).not.toMatch(/error|Error/);
    expect(output.code).toBe(0);
    return output.stdout;
  }

  test('applies, shows a difference, applies again, edits, patches and scales', async () => {
    expect(await run(['apply', '-f', '-'], factory('{target: 200}'))).toContain('render created');
    expect(await run(['apply', '-f', '-'], factory('{target: 200}'))).toContain('render unchanged');
    const diff = await kubectl(['diff', '-f', '-'], { input: factory('{target: 80}') });
    expect(diff.code).toBe(1);
    expect(diff.stdout).toMatch(/-\s+target: 200\n\+\s+target: 80/);
    expect(await run(['apply', '-f', '-'], factory('{target: 80}'))).toContain('render configured');
    expect(await run(['edit', 'cf', 'render'], undefined, 'sed -i /target:/s/80/90/')).toContain('edited');
    await run(['patch', 'cf', 'render', '--type=merge', '-p', '{"spec":{"paused":true}}']);
    await run(['patch', 'cf', 'render', '--type=json', '-p', '[{"op":"remove","path":"/spec/paused"}]']);
    await run(['scale', 'cf/render', '--replicas=300']);
    await run(['scale', 'cf/render', '--replicas=310', '--current-replicas=300']);
    expect(await run(['get', 'cf', 'render', '-o', 'jsonpath={.spec.capacity.target} {.spec.paused}'])).toBe(
      '310 false',
    );
  });

  test('refuses an invalid object with a sentence that names the field', async () => {
    const below = await kubectl(['apply', '-f', '-'], { input: factory('{target: -3}') });
    expect(below.code).toBe(1);
    expect(below.stderr).toContain('spec.capacity.target');
    const unknown = await kubectl(['create', '-f', '-'], { input: factory('{target: 1, aim: 2}') });
    // Before 1.25 kubectl checks by itself, against the OpenAPI document, and names the field in its own way.
    expect(unknown.stderr).toMatch(/unknown field "spec\.capacity\.aim"|spec\.capacity\): unknown field "aim"/);
  });

  test('scales within the limits, and says which one it hit', async () => {
    await run(['create', '-f', '-'], factory('{target: 10, max: 20}').replace('render', 'limited'));
    const refused = await kubectl(['scale', 'cf/limited', '--replicas=21']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('spec.capacity.max, which is 20');
  });

  test('explains fields, lists kinds, describes objects with their events', async () => {
    expect(await run(['explain', 'cf.spec.capacity'])).toMatch(/target\s+<integer> -required-/);
    expect(await run(['explain', 'vm.metadata.labels'])).toContain('Keys and values to select by');
    expect(await run(['api-resources', '--api-group=computefactory.io', '-o', 'name'])).toContain(
      'vmpools.computefactory.io',
    );
    await run(['create', '-f', '-'], factory('{target: 1}').replace('render', 'told'));
    const uid = await run(['get', 'cf', 'told', '-o', 'jsonpath={.metadata.uid}']);
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: 'told.', namespace: 'default' },
      involvedObject: {
        apiVersion: 'computefactory.io/v1alpha1',
        kind: 'ComputeFactory',
        name: 'told',
        namespace: 'default',
        uid,
      },
      reason: 'Waiting',
      message: 'no room yet',
      type: 'Normal',
    };
    await run(['create', '-f', '-'], JSON.stringify(event));
    expect(await run(['describe', 'cf', 'told'])).toMatch(/Waiting.*no room yet/);
  });

  test('prints the columns of the kind, wide ones on request, and follows changes', async () => {
    await run(['create', '-f', '-'], factory('{target: 1}').replace('render', 'shown'));
    const status = { capacity: { text: '1/1', ready: 1 }, displayStatus: 'Ready', conditions: [readyCondition] };
    const patched = await started.request(`${factories}/shown/status`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { status },
    });
    expect(patched.status).toBe(200);
    expect(await run(['get', 'cf', 'shown'])).toMatch(/NAME +CAPACITY +READY.*\nshown +1\/1 +1 .*Ready/);
    expect(await run(['get', 'cf', 'shown', '-o', 'wide'])).toContain('AllReady');
    await run(['wait', '--for=condition=Ready', 'cf/shown', '--timeout=10s']);
    await run(['label', 'cf', 'shown', 'tier=one']);
    expect(await run(['get', 'cf', '-l', 'tier=one', '-o', 'name'])).toBe('computefactory.computefactory.io/shown\n');
    await run(['delete', 'cf', 'shown', '--wait', '--timeout=10s']);
    expect((await kubectl(['get', 'cf', 'shown'])).stderr).toContain('not found');
  });

  test('waits for a deletion that a finalizer holds back', async () => {
    const held = factory('{target: 1}').replace('{name: render}', '{name: held, finalizers: [test.io/hold]}');
    await run(['create', '-f', '-'], held);
    const deletion = run(['delete', 'cf', 'held', '--wait', '--timeout=20s']);
    const doomed = () => run(['get', 'cf/held', '-o', 'jsonpath={.metadata.deletionTimestamp}']);
    await expect.poll(doomed, { timeout: 10_000 }).not.toBe('');
    await run(['patch', 'cf', 'held', '--type=merge', '-p', '{"metadata":{"finalizers":null}}']);
    expect(await deletion).toContain('deleted');
  });

  test('applies, patches and edits built-in kinds, for which it sends strategic merge patches', async () => {
    const map = (data: object) =>
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data });
    await run(['apply', '-f', '-'], map({ a: '1', b: '1' }));
    expect(await run(['apply', '-f', '-'], map({ b: '2' }))).toContain('configured');
    await run(['patch', 'cm', 'settings', '-p', '{"data":{"c":"3"}}']);
    await run(['edit', 'cm', 'settings'], undefined, 'sed -i s/c:/d:/');
    expect(await run(['get', 'cm', 'settings', '-o', 'jsonpath={.data}'])).toBe('{"b":"2","d":"3"}');
    await run(['apply', '-f', '-'], 'apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n');
    expect(await run(['label', 'ns', 'team', 'a=b'])).toContain('labeled');
  });
});

const factories = '/apis/computefactory.io/v1alpha1/namespaces/default/computefactories';
const readyCondition = {
  type: 'Ready',
  status: 'True',
  reason: 'AllReady',
  message: 'all of it',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};
