import { additionalOf, propertyOf, type Schema } from '#apiserver/schema/schema.ts';

const step = /\.([^.[\]]+)|\['((?:[^'\\]|\\.)*)'\]/y;
const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  "'": "'",
  '\\': '\\',
};

/**
 * The fieldPath of a rule, such as `.spec['a.b']`, as messages write it behind the path of the value: `.spec.a.b`, and `[key]` for the
 * keys of maps. Undefined if it is no path or leads to no field of the schema.
 */
export function showFieldPath(path: string, schema: Schema): string | undefined {
  let here = schema;
  let shown = '';
  let at = 0;
  while (at < path.length) {
    step.lastIndex = at;
    const match = step.exec(path);
    const name = match?.[1] ?? withoutEscapes(match?.[2]);
    const next = name === undefined ? undefined : follow(here, name);
    if (!match || !next) return undefined;
    shown += next.named ? `.${name}` : `[${name}]`;
    here = next.schema;
    at += match[0].length;
  }
  return at === 0 ? undefined : shown;
}

function follow(schema: Schema, name: string): { schema: Schema; named: boolean } | undefined {
  const property = propertyOf(schema, name);
  if (property) return { schema: property, named: true };
  const additional = schema.properties ? undefined : additionalOf(schema);
  return additional && { schema: additional, named: false };
}

function withoutEscapes(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  let valid = true;
  const plain = text.replace(/\\(.)/g, (_, letter: string) => {
    if (!Object.hasOwn(escapes, letter)) valid = false;
    return escapes[letter] ?? '';
  });
  return valid ? plain : undefined;
}
