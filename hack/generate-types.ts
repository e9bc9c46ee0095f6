/**
 * Prints lib/api/generated/ from crds/: one file per kind with its type and the constant that names it. `--check` compares instead
 * of writing. It throws on any schema it does not understand, so that a type never says more or less than its schema.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly [key: string]: unknown;
}

interface Crd {
  readonly spec: {
    readonly group: string;
    readonly scope: 'Namespaced' | 'Cluster';
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly selectableFields?: readonly { readonly jsonPath: string }[];
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

const root = join(import.meta.dirname, '..');
const outDir = join(root, 'lib/api/generated');
const known = new Set([
  ...[
    'type',
    'description',
    'enum',
    'default',
    'properties',
    'required',
    'additionalProperties',
    'items',
    'format',
    'pattern',
  ],
  ...['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'maxProperties'],
  ...['x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-int-or-string', 'x-kubernetes-validations'],
]);

function printType(schema: Schema, indent: string, path: string): string {
  for (const key of Object.keys(schema))
    if (!known.has(key)) throw new Error(`Cannot print ${path}: "${key}" is not understood`);
  if (path.endsWith('.conditions')) return 'readonly Condition[]';
  if (schema['x-kubernetes-int-or-string'] === true) return 'number | string';
  switch (schema.type) {
    case 'string':
      return schema.enum ? schema.enum.map((value) => `'${value}'`).join(' | ') : 'string';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'array': {
      const item = printType(schema.items!, indent, `${path}[]`);
      return `readonly ${/^[\w.]+$|^\{[\s\S]*\}$/.test(item) ? item : `(${item})`}[]`;
    }
    case 'object':
      return schema.properties
        ? printObject(schema, indent, path)
        : `Readonly<Record<string, ${printType(schema.additionalProperties!, indent, `${path}{}`)}>>`;
    default:
      throw new Error(`Cannot print ${path}: type "${schema.type}" is not understood`);
  }
}

/** A defaulted field is always there once the server has stored the object, so it is printed as required. */
function printObject(schema: Schema, indent: string, path: string): string {
  const inner = `${indent}  `;
  const lines = Object.entries(schema.properties!).map(([name, property]) => {
    const there = schema.required?.includes(name) || property.default !== undefined;
    const doc = property.description ? `${inner}/** ${property.description}${defaultNote(property)} */\n` : '';
    return `${doc}${inner}readonly ${name}${there ? '' : '?'}: ${printType(property, inner, `${path}.${name}`)};`;
  });
  return lines.length === 0 ? 'Readonly<Record<string, never>>' : `{\n${lines.join('\n')}\n${indent}}`;
}

function defaultNote(schema: Schema): string {
  return schema.default === undefined || schema.type === 'object' ? '' : ` Default: ${JSON.stringify(schema.default)}.`;
}

function printKind(file: string, crd: Crd): string {
  const { group, scope, names, versions } = crd.spec;
  const version = versions[0]!;
  const { spec, status } = version.schema.openAPIV3Schema.properties as { spec: Schema; status: Schema };
  const kind = names.kind;
  const info = {
    group,
    version: version.name,
    kind,
    plural: names.plural,
    singular: names.singular,
    shortNames: names.shortNames,
    namespaced: scope === 'Namespaced',
    ...(version.selectableFields && {
      selectableFields: version.selectableFields.map(({ jsonPath }) => jsonPath.slice(1)),
    }),
  };
  const uses = JSON.stringify([spec, status]).includes('"conditions"')
    ? 'Condition, Kind, KubeObject'
    : 'Kind, KubeObject';
  return `// Generated from crds/${file} by hack/generate-types.ts. Do not edit: make generate.
import type { ${uses} } from '../meta.ts';

/** ${version.schema.openAPIV3Schema.description} */
export interface ${kind} extends KubeObject {
  readonly spec: ${kind}Spec;
  readonly status?: ${kind}Status;
}

export interface ${kind}Spec ${printObject(spec, '', 'spec')}

export interface ${kind}Status ${printObject(status, '', 'status')}

export const ${kind}: Kind<${kind}> = ${JSON.stringify(info, null, 2)
    .replaceAll(/"(\w+)":/g, '$1:')
    .replaceAll('"', "'")};
`;
}

function generate(): Map<string, string> {
  const files = new Map<string, string>();
  const kinds: { kind: string; file: string }[] = [];
  for (const file of readdirSync(join(root, 'crds'))
    .filter((name) => name.endsWith('.yaml'))
    .sort()) {
    const crd = parse(readFileSync(join(root, 'crds', file), 'utf8')) as Crd;
    const name = crd.spec.names.singular;
    files.set(`${name}.ts`, printKind(file, crd));
    kinds.push({ kind: crd.spec.names.kind, file: `${name}.ts` });
  }
  const exports = kinds
    .map(({ kind, file }) => `export * from './${file}';\nimport { ${kind} } from './${file}';`)
    .join('\n');
  const list = `export const factoryKinds: readonly Kind[] = [\n${kinds.map(({ kind }) => `  ${kind},`).join('\n')}\n];`;
  files.set(
    'index.ts',
    `// Generated from crds/ by hack/generate-types.ts. Do not edit: make generate.\nimport type { Kind } from '../meta.ts';\n${exports}\n\n${list}\n`,
  );
  return files;
}

const files = generate();
if (process.argv.includes('--check')) {
  const stale = [...files].filter(
    ([name, text]) => !existsSync(join(outDir, name)) || readFileSync(join(outDir, name), 'utf8') !== text,
  );
  const extra = readdirSync(outDir).filter((name) => !files.has(name));
  if (stale.length + extra.length > 0) {
    console.error(
      `Out of date in lib/api/generated: ${[...stale.map(([name]) => name), ...extra].join(', ')}. Run "make generate".`,
    );
    process.exit(1);
  }
} else {
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(outDir, name), text);
}
