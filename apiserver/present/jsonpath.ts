/**
 * The part of Kubernetes' JSONPath (client-go, util/jsonpath) that printer columns, scale paths and selectable fields use: fields, quoted
 * fields, `[n]`, `[*]`, `.*`, and filters that compare a field with a literal: `[?(@.type=="Ready")]`.
 */
import { at, atPath, isObject, type Json } from '#apiserver/json/json.ts';

type Step =
  | { readonly type: 'field'; readonly name: string }
  | { readonly type: 'index'; readonly index: number }
  | { readonly type: 'all' }
  | { readonly type: 'filter'; readonly path: readonly string[]; readonly equal: boolean; readonly value: Json };

/** Gives every match, in order. */
export type JsonPath = (value: Json) => Json[];

const patterns = [
  /^\.?\[\?\(\s*@\.([\w.-]+)\s*(==|!=)\s*("[^"]*"|'[^']*'|-?\d+(?:\.\d+)?|true|false)\s*\)\]/,
  /^\.?\[\*\]|^\.\*/,
  /^\.?\[(-?\d+)\]/,
  /^\.?\[(?:'([^']*)'|"([^"]*)")\]/,
  /^\.((?:[^.[\]\\]|\\.)+)/,
] as const;

/** RangeError for a path that is not understood: a column must not be silently empty. */
export function compileJsonPath(source: string): JsonPath {
  const steps = parse(source);
  return (value) => steps.reduce<Json[]>((values, step) => values.flatMap((item) => follow(item, step)), [value]);
}

/** The names of a path of plain fields such as .spec.capacity.target. RangeError for any other path. */
export function fieldNames(source: string): string[] {
  return parse(source).map((step) => {
    if (step.type !== 'field')
      throw new RangeError(`Cannot use the JSON path "${source}": only fields are allowed here`);
    return step.name;
  });
}

function parse(source: string): Step[] {
  const steps: Step[] = [];
  let rest = source.replace(/^\{(.*)\}$/, '$1').replace(/^\$/, '');
  if (rest !== '' && !/^[.[]/.test(rest)) rest = `.${rest}`;
  while (rest !== '') {
    const [step, length] = next(rest, source);
    steps.push(step);
    rest = rest.slice(length);
  }
  return steps;
}

function next(rest: string, source: string): [Step, number] {
  const [filter, all, index, quoted, field] = patterns.map((pattern) => pattern.exec(rest));
  if (filter)
    return [
      { type: 'filter', path: filter[1]!.split('.'), equal: filter[2] === '==', value: literal(filter[3]!) },
      filter[0].length,
    ];
  if (all) return [{ type: 'all' }, all[0].length];
  if (index) return [{ type: 'index', index: Number(index[1]) }, index[0].length];
  if (quoted) return [{ type: 'field', name: quoted[1] ?? quoted[2]! }, quoted[0].length];
  if (field) return [{ type: 'field', name: field[1]!.replaceAll(/\\(.)/g, '$1') }, field[0].length];
  throw new RangeError(`Cannot read the JSON path "${source}" from "${rest}" on`);
}

function literal(text: string): Json {
  return text.startsWith("'") ? text.slice(1, -1) : (JSON.parse(text) as Json);
}

function follow(value: Json, step: Step): Json[] {
  switch (step.type) {
    case 'field': {
      const child = isObject(value) ? at(value, step.name) : undefined;
      return child === undefined ? [] : [child];
    }
    case 'index': {
      const item = Array.isArray(value) ? value.at(step.index) : undefined;
      return item === undefined ? [] : [item];
    }
    case 'all':
      return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
    case 'filter':
      return (Array.isArray(value) ? value : []).filter(
        (item) => (atPath(item, step.path) === step.value) === step.equal,
      );
  }
}
