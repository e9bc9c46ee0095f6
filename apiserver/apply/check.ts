/** What is wrong with an applied configuration before it is merged, in the words of Kubernetes' structured-merge-diff. */
import { isObject, type Json } from '#apiserver/json/json.ts';
import { fieldStep, itemStep, showStep } from './step.ts';
import { formOf, type ListType, type MapType, memberType, type Type } from './type.ts';

/** Every mistake with its path: fields that the schema does not know, values of another type, items that cannot be told apart. */
export function mistakesIn(value: Json, type: Type, path = ''): string[] {
  if (value === null) return [];
  const form = formOf(type, value);
  if (form === 'map') return isObject(value) ? inMap(value, type.map!, path) : [expected('map', value, path)];
  if (form === 'list') return Array.isArray(value) ? inList(value, type.list!, path) : [expected('list', value, path)];
  const { scalar } = type;
  if (scalar === 'any' ? typeof value !== 'object' : typeof value === scalar) return [];
  return [expected(scalarNames[scalar!], value, path)];
}

const scalarNames = { string: 'string', number: 'numeric (int or float)', boolean: 'boolean', any: 'any scalar' };

function expected(what: string, value: Json, path: string): string {
  const actual = Array.isArray(value) ? 'list' : isObject(value) ? 'map' : typeof value;
  return `${path}: expected ${what}, got ${actual}`;
}

function inMap(value: { [name: string]: Json }, map: MapType, path: string): string[] {
  return Object.entries(value).flatMap(([name, child]) => {
    const here = path + showStep(fieldStep(name));
    const type = memberType(map, name);
    return type ? mistakesIn(child, type, here) : [`${here}: field not declared in schema`];
  });
}

function inList(items: readonly Json[], list: ListType, path: string): string[] {
  const seen = new Set<string>();
  return items.flatMap((item, index) => {
    if (list.kind === 'atomic') return mistakesIn(item, list.items, `${path}[${index}]`);
    const step = itemStep(item, list);
    if (step === undefined) return [`${path}: element ${index}: ${whyNot(list)}`];
    if (seen.has(step)) return [`${path}: duplicate entries for key ${showStep(step)}`];
    seen.add(step);
    return mistakesIn(item, list.items, path + showStep(step));
  });
}

function whyNot({ kind, keys }: ListType): string {
  if (kind === 'set') return 'items of an associative list without keys must be scalars';
  const names = keys.map((key) => JSON.stringify(key)).join(' ');
  return `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`;
}
