import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readManifests } from './manifests.ts';

function withFile(text: string, check: (file: string) => void): void {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'cf-manifests-'));
  const file = join(folder.path, 'input.yaml');
  writeFileSync(file, text);
  check(file);
}

describe('readManifests', () => {
  test('orders what others need first', () => {
    const text = ['VMPool', 'Subnet', 'Namespace']
      .map((kind) => `apiVersion: v1\nkind: ${kind}\nmetadata: {name: x}\n`)
      .join('---\n');
    withFile(text, (file) =>
      expect(readManifests([file]).map(({ manifest }) => manifest.kind)).toEqual(['Namespace', 'Subnet', 'VMPool']),
    );
  });

  test('names file and line of a syntax error', () => {
    withFile('apiVersion: v1\nkind: [\n', (file) => expect(() => readManifests([file])).toThrow(/input\.yaml:\d+: /));
  });

  test('names the line of a key given twice', () => {
    withFile('apiVersion: v1\nkind: X\nkind: Y\nmetadata: {name: x}\n', (file) =>
      expect(() => readManifests([file])).toThrow(/input\.yaml:3: Map keys must be unique/),
    );
  });

  test('says which field is missing', () => {
    withFile('apiVersion: v1\nkind: VMPool\n', (file) =>
      expect(() => readManifests([file])).toThrow(/input\.yaml:1: the object has no metadata\.name/),
    );
  });

  test('refuses aliases that multiply', () => {
    const bomb = [
      'a: &a [x, x, x, x, x, x, x, x, x]',
      'b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]',
      'c: [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b, *b, *b]',
    ].join('\n');
    withFile(bomb, (file) => expect(() => readManifests([file])).toThrow(/alias/i));
  });

  test('says that a file is not there', () => {
    expect(() => readManifests(['/no/such/file.yaml'])).toThrow(
      'Cannot read /no/such/file.yaml: there is no such file',
    );
  });

  test('reads the samples', () => {
    const kinds = readManifests([join(import.meta.dirname, '../manifests/samples')]).map(
      ({ manifest }) => manifest.kind,
    );
    expect(kinds).toEqual(['Namespace', 'Subnet', 'Image', 'ComputeFactory', 'VMPool']);
  });
});
