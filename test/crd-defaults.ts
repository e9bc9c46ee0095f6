/** Fills in the defaults that crds/ declare, as the API server would, so that stories in memory see what controllers really see. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Kind, KubeObject } from '#lib/api/meta.ts';
import { kindId } from '#lib/client/kind-id.ts';

interface Schema {
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

const folder = join(import.meta.dirname, '..', 'crds');

function load(): Map<string, Schema> {
  const definitions = readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => parse(readFileSync(join(folder, name), 'utf8')) as CustomResourceDefinition);
  return new Map(
    definitions.map(({ spec }) => [
      kindId({ group: spec.group, plural: spec.names.plural }),
      spec.versions[0]!.schema.openAPIV3Schema,
    ]),
  );
}

let schemas: Map<string, Schema> | undefined;

/** The object with defaults, also inside lists; nested ones only where the parent is there. Kinds without a CRD are left as they are. */
export function applyDefaults(kind: Kind, object: KubeObject): KubeObject {
  schemas ??= load();
  const schema = schemas.get(kindId(kind));
  return schema ? (withDefaults(schema, object) as KubeObject) : object;
}

function withDefaults(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) return schema.items ? value.map((item) => withDefaults(schema.items!, item)) : value;
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = { ...value };
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    // As upstream: null where a default exists means that the default is wanted.
    const given = result[name] ?? structuredClone(property.default);
    if (given !== undefined) result[name] = withDefaults(property, given);
  }
  return result;
}
