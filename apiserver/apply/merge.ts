import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { itemStep } from './step.ts';
import { formOf, type ListType, type MapType, memberType, type Type } from './type.ts';

/** The live value with the configuration laid over it. Nothing is taken away; neither argument is changed. */
export function merge(live: Json | undefined, config: Json | undefined, type: Type): Json {
  if (config === undefined) return live ?? null;
  if (live === undefined) return config;
  const form = formOf(type, config);
  if (form === 'map' && !type.map!.atomic) return mergeMaps(live, config, type.map!);
  if (form === 'list' && type.list!.kind !== 'atomic') return mergeLists(live, config, type.list!);
  return config;
}

/** A null in place of a map says nothing about what is in it. */
function mergeMaps(live: Json, config: Json, map: MapType): Json {
  const old = isObject(live) ? live : {};
  const sent = isObject(config) ? config : {};
  const names = new Set([...Object.keys(old), ...Object.keys(sent)]);
  if (names.size === 0) return config;
  const entries: [string, Json][] = [];
  for (const name of names) {
    const type = memberType(map, name);
    if (type) entries.push([name, merge(at(old, name), at(sent, name), type)]);
    else if (Object.hasOwn(old, name)) entries.push([name, old[name]!]);
  }
  return Object.fromEntries(entries) as JsonObject;
}

function mergeLists(live: Json, config: Json, list: ListType): Json {
  const old = Array.isArray(live) ? live : [];
  const sent = Array.isArray(config) ? config : [];
  if (old.length + sent.length === 0) return config;
  return interleave(withSteps(old, list), withSteps(sent, list)).map(([one, other]) => merge(one, other, list.items));
}

type Keyed = readonly (readonly [step: string, item: Json])[];

function withSteps(items: readonly Json[], list: ListType): Keyed {
  // An item that cannot be told apart is found nowhere else.
  return items.map((item, index) => [itemStep(item, list) ?? `i:${index}`, item] as const);
}

/**
 * The order of the merged list: items of the configuration come in its order, and items of the live list alone stay between the
 * neighbours that they had.
 */
function interleave(live: Keyed, config: Keyed): [Json | undefined, Json | undefined][] {
  const inLive = new Map(live);
  const inConfig = new Map(config);
  const shared = config.map(([step]) => step).filter((step) => inLive.has(step));
  const done = new Set<string>();
  const result: [Json | undefined, Json | undefined][] = [];
  let next = 0;
  for (let l = 0, c = 0; l < live.length || c < config.length; ) {
    const [liveStep, liveItem] = live[l] ?? [];
    const [configStep, configItem] = config[c] ?? [];
    if (liveStep !== undefined && !inConfig.has(liveStep)) {
      result.push([liveItem, undefined]);
      l++;
    } else if (liveStep !== undefined && (done.has(liveStep) || (c < config.length && liveStep !== shared[next]))) {
      // It has had its turn, or has it later, where the configuration wants it.
      l++;
    } else if (configStep !== undefined) {
      result.push([inLive.get(configStep), configItem]);
      done.add(configStep);
      if (configStep === shared[next]) next++;
      if (configStep === liveStep) l++;
      c++;
    } else l++;
  }
  return result;
}
