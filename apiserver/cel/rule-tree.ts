/** The rules of a schema where they stand, without the branches that have none: most schemas have no tree at all. */
import { additionalOf, type Schema } from '#apiserver/schema/schema.ts';
import { type CompiledRule, compileRule } from './rule.ts';
import { asResource } from './schema-types.ts';

export interface RuleNode {
  readonly schema: Schema;
  readonly rules: readonly CompiledRule[];
  readonly properties: ReadonlyMap<string, RuleNode>;
  readonly additional: RuleNode | undefined;
  readonly items: RuleNode | undefined;
  /** Rules inside of allOf, which see the value as the schema around them does. */
  readonly allOf: readonly RuleNode[];
}

const trees = new WeakMap<Schema, { readonly tree: RuleNode | undefined }>();

/** Compiled once, at the first object. Undefined for a schema without rules. */
export function ruleTree(schema: Schema): RuleNode | undefined {
  const known = trees.get(schema);
  if (known) return known.tree;
  const tree = plant(schema, asResource(schema));
  trees.set(schema, { tree });
  return tree;
}

/** `seen` is how expressions see the value, if otherwise than by `schema`. */
function plant(schema: Schema, seen: Schema): RuleNode | undefined {
  const rules = schema['x-kubernetes-validations'] ?? [];
  const additional = additionalOf(schema);
  const seenAdditional = additionalOf(seen);
  const properties = Object.entries(schema.properties ?? {}).flatMap(([name, child]): [string, RuleNode][] => {
    const node = plant(child, seen.properties?.[name] ?? child);
    return node ? [[name, node]] : [];
  });
  const node = {
    additional: additional && plant(additional, seenAdditional ?? additional),
    items: schema.items && plant(schema.items, seen.items ?? schema.items),
    allOf: (schema.allOf ?? []).flatMap((part) => plant(part, seen) ?? []),
  };
  if (rules.length + properties.length + node.allOf.length === 0 && !node.additional && !node.items) return undefined;
  const compiled = rules.map((rule) => compileRule(rule, seen));
  return { ...node, schema: seen, rules: compiled, properties: new Map(properties) };
}
