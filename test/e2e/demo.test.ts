/** `make demo`, in a directory and on a port of its own: what a newcomer sees first, twice, and what is left when they have seen enough. */
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { whyNoLibvirt } from '#cli/local/libvirt-here.ts';
import { localPaths } from '#cli/local/settings.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { must, root, run } from './local-cluster.ts';
import { noTraces, tracer } from './traces.ts';

const summary = 'render is Ready: 200 cores in 5 machines (4 x 48 + 1 x 8)';
const demoMs = 12 * 60_000;

async function identities(dir: string): Promise<readonly string[]> {
  await using client = connectFromFile(localPaths(dir).kubeconfig);
  const { items } = await client.list(VirtualMachine);
  return items.map(({ metadata, status }) => `${metadata.name} ${metadata.uid} ${status?.attempt?.taskID}`).sort();
}

test('the demo runs, runs again without harm, and leaves nothing', { timeout: 2 * demoMs }, async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'cf-demo-'));
  const dir = join(folder.path, 'local');
  await using stack = new AsyncDisposableStack();
  const down = () => must(run(join(root, 'bin/factoryctl'), ['local', 'down', '--dir', dir]));
  stack.defer(async () => void (await down()));
  const port = String(await freePort());
  // A kubeconfig of the user's own must not be where the samples go.
  const environment = { KUBECONFIG: join(folder.path, 'of-another-cluster') };
  const demo = () =>
    run(process.execPath, [join(root, 'hack/demo.ts'), '--dir', dir, '--port', port], environment, demoMs);

  const first = await must(demo());
  expect(first).toContain(summary);
  expect(first.match(/^ {2}bin\/factoryctl /gm)).toHaveLength(3);
  expect(first).toContain(
    whyNoLibvirt(dir) ? 'Machines are imitated' : '2 real machines run beside them under QEMU: pool real.',
  );
  const machines = await identities(dir);
  expect(machines).toHaveLength(whyNoLibvirt(dir) ? 5 : 7);

  expect(await must(demo())).toContain(summary);
  expect(await identities(dir)).toEqual(machines);

  const traces = tracer(dir);
  expect(traces().processes.length).toBeGreaterThan(10);
  await down();
  expect(traces()).toEqual(noTraces);
});
