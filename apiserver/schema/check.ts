/** Everything in which an object is not as its schema says, apart from rules in CEL. */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Cause } from '#lib/std/errors.ts';
import { type Accepts, compileSchema } from './accept.ts';
import type { Correlation } from './correlation.ts';
import { embeddedCauses } from './embedded.ts';
import { explain } from './explain.ts';
import { explainRepeated } from './repeated.ts';
import type { Schema } from './schema.ts';

const compiled = new WeakMap<Schema, Accepts>();
/** Compiling takes about a quarter of a millisecond per node, in which nothing else happens. Beyond this many the slower way is the better one. */
const maxCompiledNodes = 500;

/** Compiled once, at the first object of the kind. */
function accepts(schema: Schema): Accepts {
  const known = compiled.get(schema);
  if (known) return known;
  const fresh = countNodes(schema) > maxCompiledNodes ? acceptsByExplaining(schema) : compileSchema(schema);
  compiled.set(schema, fresh);
  return fresh;
}

function acceptsByExplaining(schema: Schema): Accepts {
  return (value) => explain(value, schema, '').length === 0 && explainRepeated(value, schema, '').length === 0;
}

function countNodes(schema: Schema): number {
  const { properties = {}, items, additionalProperties } = schema;
  const below = [...Object.values(properties), items, additionalProperties];
  return below.reduce<number>((sum, child) => sum + (typeof child === 'object' ? countNodes(child) : 0), 1);
}

/** `before` is what the object was before an update: what is wrong in parts that stay the same does not count. */
export function schemaCauses(object: JsonObject, schema: Schema, before: Correlation | undefined): Cause[] {
  const embedded = embeddedCauses(object, schema, '');
  if (accepts(schema)(object)) return embedded;
  const all = [...explain(object, schema, ''), ...explainRepeated(object, schema, '')];
  if (all.length === 0) throw new Error('A schema refuses an object for reasons that explain does not know');
  return [...(before ? sinceBefore(object, schema, before) : all), ...embedded];
}

/** Repeated items are let pass if there were any before, wherever they were: so does upstream. */
function sinceBefore(object: JsonObject, schema: Schema, before: Correlation): Cause[] {
  const repeated = explainRepeated(object, schema, '');
  const hadRepeated = repeated.length > 0 && explainRepeated(before.old, schema, '').length > 0;
  return [...explain(object, schema, '', before), ...(hadRepeated ? [] : repeated)];
}
