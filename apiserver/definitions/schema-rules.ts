/** Whether objects can be held against this schema at all: patterns can be read, defaults are what the schema itself accepts, rules can be computed. */
import { checkRules } from '#apiserver/cel/check-rules.ts';
import { at, copyJson, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { explain } from '#apiserver/schema/explain.ts';
import { prune } from '#apiserver/schema/prune.ts';
import { explainRepeated } from '#apiserver/schema/repeated.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { type Cause, messageOf } from '#lib/std/errors.ts';
import { patternOf } from '#lib/std/pattern.ts';
import { propertiesOf } from './keywords.ts';
import { checkStructural } from './structural.ts';

/** Every reason why the schema of a version cannot be served. */
export function checkSchema(schema: JsonObject, path: string): Cause[] {
  const structural = checkStructural(schema, path);
  if (structural.length > 0) return structural;
  const patterns = checkPatterns(schema, path);
  if (patterns.length > 0) return patterns;
  return [...checkDefaults(schema, path), ...checkRules(asSchema(schema), path)];
}

/** Schemas hold JSON only. */
function asSchema(schema: JsonObject): Schema {
  return schema as unknown as Schema;
}

function childrenOf(schema: JsonObject, path: string): [JsonObject, string][] {
  const named = propertiesOf(schema).map(([name, child]): [JsonObject, string] => [
    child,
    `${path}.properties[${name}]`,
  ]);
  const single = ['items', 'additionalProperties', 'not'].flatMap((word): [JsonObject, string][] => {
    const child = at(schema, word);
    return isObject(child) ? [[child, `${path}.${word}`]] : [];
  });
  const listed = ['allOf', 'anyOf', 'oneOf'].flatMap((word): [JsonObject, string][] => {
    const list = at(schema, word);
    return Array.isArray(list)
      ? list.map((child, index): [JsonObject, string] => [child as JsonObject, `${path}.${word}[${index}]`])
      : [];
  });
  return [...named, ...single, ...listed];
}

function checkPatterns(schema: JsonObject, path: string): Cause[] {
  const pattern = at(schema, 'pattern');
  const own = typeof pattern === 'string' ? checkPattern(pattern, `${path}.pattern`) : [];
  return [...own, ...childrenOf(schema, path).flatMap(([child, here]) => checkPatterns(child, here))];
}

function checkPattern(pattern: string, path: string): Cause[] {
  try {
    patternOf(pattern);
    return [];
  } catch (error) {
    return [invalid(path, pattern, `must be a valid regular expression, but isn't: ${messageOf(error)}`)];
  }
}

function checkDefaults(schema: JsonObject, path: string): Cause[] {
  const value = at(schema, 'default');
  const own = value === undefined ? [] : checkDefault(value, schema, `${path}.default`);
  return [...own, ...childrenOf(schema, path).flatMap(([child, here]) => checkDefaults(child, here))];
}

function checkDefault(value: Json, schema: JsonObject, path: string): Cause[] {
  // Wrapped, so that what prune leaves to others at the root of an object counts here too.
  const unknown = prune({ value: copyJson(value) }, { properties: { value: asSchema(schema) } });
  return [
    ...unknown.map((field) =>
      invalid(path, value, `must not have the field ${field.replace(/^value\.?/, '')}, which the schema does not know`),
    ),
    ...explain(value, asSchema(schema), path),
    ...explainRepeated(value, asSchema(schema), path),
  ];
}
