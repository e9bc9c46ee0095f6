/** The main thing a user does with an unmodified kubectl, in a few seconds; every command with every kubectl is in test/kubectl/. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { createKubectl, type Kubectl, kubectlVersion } from './testing/kubectl.ts';
import { startTestServer, type TestServer } from './testing/start.ts';

const version = whyNot(['kubectl']) === undefined ? kubectlVersion() : undefined;

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
});
