/** Asks all rules of a schema about an object. */
import { at, isObject, type Json } from '#apiserver/json/json.ts';
import type { Correlation } from '#apiserver/schema/correlation.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import type { Cause } from '#lib/std/errors.ts';
import { objectLimit } from './budget.ts';
import { askRules, type Purse } from './evaluate-rules.ts';
import { type RuleNode, ruleTree } from './rule-tree.ts';

/** What was before a value: itself, as far as it can be told, and the nearest part around it of which it can. */
interface Before {
  readonly here: Correlation | undefined;
  readonly around: Correlation | undefined;
}

/** The rules that the object breaks. Cheap for a schema without rules. The object must be as the schema says otherwise. */
export function ruleCauses(object: Json, schema: Schema, before: Correlation | undefined): Cause[] {
  const tree = ruleTree(schema);
  if (!tree) return [];
  return check(tree, object, '', { here: before, around: before }, { left: objectLimit });
}

export function hasRules(schema: Schema): boolean {
  return ruleTree(schema) !== undefined;
}

function check(node: RuleNode, value: Json, path: string, before: Before, purse: Purse): Cause[] {
  // A rule about a null would have to stand around it.
  if (value === null || purse.left < 0) return [];
  const place = {
    path,
    value,
    old: before.here?.old,
    unchanged: () => (before.here ?? before.around)?.unchanged ?? false,
  };
  const causes = node.rules.length > 0 ? askRules(node.rules, node.schema, place, purse) : [];
  for (const part of node.allOf) causes.push(...check(part, value, path, before, purse));
  if (Array.isArray(value)) causes.push(...checkItems(node, value, path, before, purse));
  else if (isObject(value)) causes.push(...checkFields(node, value, path, before, purse));
  return causes;
}

function checkItems(node: RuleNode, list: readonly Json[], path: string, before: Before, purse: Purse): Cause[] {
  const { items } = node;
  if (!items) return [];
  return list.flatMap((item, index) =>
    check(items, item, `${path}[${index}]`, below(before, before.here?.item(index, items.schema)), purse),
  );
}

function checkFields(
  node: RuleNode,
  object: Readonly<Record<string, Json>>,
  path: string,
  before: Before,
  purse: Purse,
): Cause[] {
  const causes: Cause[] = [];
  for (const [name, child] of node.properties) {
    const value = at(object as { [key: string]: Json }, name);
    if (value !== undefined)
      causes.push(
        ...check(
          child,
          value,
          path === '' ? name : `${path}.${name}`,
          below(before, before.here?.field(name, child.schema)),
          purse,
        ),
      );
  }
  const { additional } = node;
  if (additional)
    for (const [name, value] of Object.entries(object))
      causes.push(
        ...check(
          additional,
          value,
          `${path}[${name}]`,
          below(before, before.here?.field(name, additional.schema)),
          purse,
        ),
      );
  return causes;
}

function below(before: Before, here: Correlation | undefined): Before {
  return { here, around: before.here ?? before.around };
}
