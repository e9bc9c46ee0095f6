/** The kinds' schemas, checked against each other: a machine is described in three of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly pattern?: string;
}

const folder = join(import.meta.dirname, '../crds');
const files = readdirSync(folder);

function schemaOf(file: string): Schema {
  const crd = parse(readFileSync(join(folder, file), 'utf8'));
  return crd.spec.versions[0].schema.openAPIV3Schema as Schema;
}

/** Every schema with its path, the given one first. */
function* walk(schema: Schema, path: string): Generator<[string, Schema]> {
  yield [path, schema];
  for (const [name, inner] of Object.entries(schema.properties ?? {})) yield* walk(inner, `${path}.${name}`);
  if (schema.items) yield* walk(schema.items, `${path}[]`);
  if (schema.additionalProperties) yield* walk(schema.additionalProperties, `${path}{}`);
}

function without(schema: Schema, ...names: readonly string[]): Readonly<Record<string, Schema>> {
  return Object.fromEntries(Object.entries(schema.properties!).filter(([name]) => !names.includes(name)));
}

describe('a template describes a machine as VirtualMachine does', () => {
  const machine = schemaOf('virtualmachines.yaml').properties!.spec!;

  test.each([
    ['vmpools.yaml', []],
    // A factory chooses the size itself, and its machines are always wanted.
    ['computefactories.yaml', ['instanceType', 'resources', 'runPolicy']],
  ])('%s', (file, left) => {
    const template = schemaOf(file).properties!.spec!.properties!.template!.properties!.spec!;
    // A fixed address can be of one machine only; a gang is of the pool, or of the factory.
    expect(without(template, 'networks')).toEqual(without(machine, 'networks', 'gang', ...left));
    expect(template.properties!.networks!.items!.properties).toEqual(
      without(machine.properties!.networks!.items!, 'ip'),
    );
  });
});

describe.each(files)('%s', (file) => {
  const schemas = [...walk(schemaOf(file), '')].filter(
    ([path]) => path.startsWith('.spec') || path.startsWith('.status'),
  );

  test('bounds every list and every string', () => {
    const unbounded = schemas.filter(([, { type, maxItems, maxLength, enum: words, format }]) =>
      type === 'array'
        ? maxItems === undefined
        : type === 'string' && maxLength === undefined && !words && format !== 'date-time',
    );
    // Numbers written as text are bounded by their pattern.
    expect(unbounded.filter(([, { pattern }]) => pattern === undefined).map(([path]) => path)).toEqual([]);
  });

  test('describes every field', () => {
    const silent = schemas.filter(
      ([path, { description }]) => !description && !path.endsWith('[]') && !path.endsWith('{}'),
    );
    expect(silent.map(([path]) => path)).toEqual([]);
  });
});
