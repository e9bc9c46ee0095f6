/** Reads the documents of files, folders or standard input, and says file and line of what is wrong. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LineCounter, parseAllDocuments } from 'yaml';
import { UsageError } from '#lib/std/main.ts';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [key: string]: unknown;
}

export interface Document {
  /** `file:line` of its first line. */
  readonly place: string;
  readonly manifest: Manifest;
}

/** Aliases multiply: a small file may not become a large object. */
const maxAliases = 100;

/** Documents in the order in which they must exist: namespaces first, what others name next, machines last. */
export function readManifests(sources: readonly string[]): readonly Document[] {
  if (sources.length === 0) throw new UsageError('Name what to read: -f FILE, -f FOLDER or -f - for standard input.');
  const documents = sources.flatMap(filesOf).flatMap(readDocuments);
  if (documents.length === 0) throw new UsageError(`No objects found in ${sources.join(', ')}.`);
  return documents.sort((a, b) => rankOf(a.manifest.kind) - rankOf(b.manifest.kind));
}

const order = [
  'Namespace',
  'CustomResourceDefinition',
  'Secret',
  'ConfigMap',
  'Cluster',
  'InstanceType',
  'Subnet',
  'Image',
  'IPLease',
];

function rankOf(kind: string): number {
  const rank = order.indexOf(kind);
  return rank < 0 ? order.length : rank;
}

function filesOf(source: string): readonly string[] {
  if (source === '-') return ['-'];
  const isFolder = (path: string): boolean => {
    try {
      return statSync(path).isDirectory();
    } catch (error) {
      throw new UsageError(
        `Cannot read ${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message}`,
      );
    }
  };
  if (!isFolder(source)) return [source];
  return readdirSync(source)
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(source, name));
}

function readDocuments(file: string): readonly Document[] {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8');
  const lines = new LineCounter();
  const name = file === '-' ? 'standard input' : file;
  return parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true }).flatMap((document) => {
    const at = (offset: number) => `${name}:${lines.linePos(offset).line}`;
    const problem = document.errors[0];
    if (problem) throw new UsageError(`${at(problem.pos[0])}: ${problem.message.split('\n')[0]}`);
    const value: unknown = document.toJS({ maxAliasCount: maxAliases });
    if (value === null || value === undefined) return [];
    const place = at(document.contents?.range?.[0] ?? 0);
    const items =
      (value as { kind?: string; items?: unknown[] }).kind === 'List'
        ? ((value as { items?: unknown[] }).items ?? [])
        : [value];
    return items.map((item) => ({ place, manifest: requireManifest(item, place) }));
  });
}

function requireManifest(value: unknown, place: string): Manifest {
  const { apiVersion, kind, metadata } = (value ?? {}) as Partial<Manifest>;
  for (const [field, found] of [
    ['apiVersion', apiVersion],
    ['kind', kind],
    ['metadata.name', metadata?.name],
  ] as const) {
    if (typeof found !== 'string' || found === '') throw new UsageError(`${place}: the object has no ${field}.`);
  }
  return value as Manifest;
}
