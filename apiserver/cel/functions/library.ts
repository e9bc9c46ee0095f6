/** All functions that rules may call, by name and form. */
import { conversions } from './conversions.ts';
import { namedFormats } from './formats.ts';
import { addresses } from './ip.ts';
import { lists } from './lists.ts';
import { operators } from './operators.ts';
import { optionals } from './optionals.ts';
import type { Overload } from './overload.ts';
import { quantities } from './quantity.ts';
import { regex } from './regex.ts';
import { strings } from './strings.ts';
import { times } from './times.ts';
import { urls } from './url.ts';

const all = [
  operators,
  conversions,
  strings,
  regex,
  lists,
  times,
  quantities,
  urls,
  addresses,
  namedFormats,
  optionals,
].flat();

function byName(method: boolean): ReadonlyMap<string, readonly Overload[]> {
  return Map.groupBy(
    all.filter((one) => one.method === method),
    ({ name }) => name,
  );
}

const functions = byName(false);
const methods = byName(true);

export function functionsNamed(name: string): readonly Overload[] {
  return functions.get(name) ?? [];
}

export function methodsNamed(name: string): readonly Overload[] {
  return methods.get(name) ?? [];
}
