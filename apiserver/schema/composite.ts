/** allOf, anyOf, oneOf and not, in kube-openapi's words (pkg/validation/validate, schema_props.go). */
import type { Json } from '#apiserver/json/json.ts';
import type { Cause } from '#lib/std/errors.ts';
import { invalid } from './causes.ts';
import type { Schema } from './schema.ts';

type Explain = (value: Json, schema: Schema, path: string) => Cause[];

export function explainComposites(value: Json, schema: Schema, path: string, explain: Explain): Cause[] {
  const { allOf, anyOf, oneOf, not } = schema;
  const against = (parts: readonly Schema[]) => parts.map((part) => explain(value, part, path));
  return [
    ...(anyOf?.length ? explainAny(against(anyOf), path) : []),
    ...(oneOf?.length ? explainOne(against(oneOf), path) : []),
    ...(allOf?.length ? explainAll(against(allOf), path) : []),
    ...(not && explain(value, not, path).length === 0 ? [refuse(path, 'must not validate the schema (not)')] : []),
  ];
}

/** Upstream tells these without a field, and so prints <nil> for it. */
function refuse(path: string, why: string): Cause {
  return invalid('<nil>', '', `${JSON.stringify(path)} ${why}`);
}

function explainAny(results: readonly Cause[][], path: string): Cause[] {
  if (results.some((causes) => causes.length === 0)) return [];
  return [refuse(path, 'must validate at least one schema (anyOf)'), ...nearest(results)];
}

function explainOne(results: readonly Cause[][], path: string): Cause[] {
  const valid = results.filter((causes) => causes.length === 0).length;
  if (valid === 1) return [];
  const found = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`;
  return [
    refuse(path, `must validate one and only one schema (oneOf). ${found}`),
    ...(valid === 0 ? nearest(results) : []),
  ];
}

function explainAll(results: readonly Cause[][], path: string): Cause[] {
  const causes = results.flat();
  if (causes.length === 0) return [];
  const none = results.every((one) => one.length > 0) ? '. None validated' : '';
  return [...causes, refuse(path, `must validate all the schemas (allOf)${none}`)];
}

/** The alternative that the value comes closest to: the one with the fewest reasons against it. */
function nearest(results: readonly Cause[][]): Cause[] {
  return results.reduce((best, causes) => (causes.length < best.length ? causes : best));
}
