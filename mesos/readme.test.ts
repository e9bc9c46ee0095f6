import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startCluster, temporaryDirectory } from './local/testing/cluster.ts';

const text = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');

test('every file that the README names exists', () => {
  for (const [, cell] of text.matchAll(/^\| (`[^|]+) \|/gm))
    for (const [, name] of cell!.matchAll(/`([^`]+)`/g))
      expect(() => readFileSync(join(import.meta.dirname, name!))).not.toThrow(/ENOENT/);
});

test('the example of the README runs a command', { timeout: 60_000 }, async () => {
  const [, code] = /^```ts\n(.*?)^```/ms.exec(text)!;
  using directory = temporaryDirectory();
  const source = code!.replace(
    /'#(mesos|lib)\/([^']+)'/g,
    (_, folder, name) => `'${join(import.meta.dirname, '..', folder, name)}'`,
  );
  writeFileSync(join(directory.path, 'example.ts'), source);
  const { runOnce } = (await import(join(directory.path, 'example.ts'))) as {
    runOnce: (masters: readonly string[], id: string, command: string) => Promise<string>;
  };
  await using cluster = await startCluster({ hosts: ['host1.lab'] });
  expect(await runOnce([cluster.url], 'readme-example', 'exit 0')).toBe('TASK_FINISHED');
  expect(await runOnce([cluster.url], 'readme-example-2', 'exit 1')).toBe('TASK_FAILED');
});
