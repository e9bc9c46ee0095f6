import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  parseAllDocuments,
  stringify,
  type Tags,
  type YAMLMap,
} from 'yaml';
import { ApiError } from '#lib/std/errors.ts';
import { requireShortYaml } from './bounds.ts';
import type { Json, JsonObject } from './json.ts';
import { exactNumber, maxDepth, type Parsed, refuseDangerousName, tooDeep } from './strict.ts';

/** How many values a document may repeat by aliases ("billion laughs"). */
const maxAliased = 10_000;

/** What YAML 1.1 knows and Go's reader does not: dates, times in base 60, and collections that are neither lists nor maps. */
const unknownTags = /:(timestamp|binary|set|omap|pairs)$/;

function goTags(tags: Tags): Tags {
  return tags.filter(
    (tag) => typeof tag === 'string' || !(unknownTags.test(tag.tag) || ('format' in tag && tag.format === 'TIME')),
  );
}

/**
 * One YAML document as JSON: YAML 1.1 as Go's sigs.k8s.io/yaml reads it, where y is true and 014 is twelve. BadRequest for anything else.
 */
export function parseYaml(text: string, what: string): Parsed {
  requireShortYaml(text, what);
  const documents = parseAllDocuments(text, {
    version: '1.1',
    customTags: goTags,
    uniqueKeys: false,
    intAsBigInt: true,
    strict: true,
  });
  const [document] = documents;
  if (!Array.isArray(documents) || document === undefined || documents.length !== 1)
    throw new ApiError('BadRequest', `${what}: send exactly one YAML document`);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) throw new ApiError('BadRequest', `${what}: yaml parse error: ${problem.message}`, { cause: problem });
  const reader = new Reader(document, what);
  return { value: reader.read(document.contents, '', 0, false), duplicates: reader.duplicates };
}

class Reader {
  readonly duplicates: string[] = [];
  readonly #document: Document.Parsed;
  readonly #what: string;
  #aliased = 0;

  constructor(document: Document.Parsed, what: string) {
    this.#document = document;
    this.#what = what;
  }

  read(node: unknown, path: string, depth: number, aliased: boolean): Json {
    if (depth > maxDepth) throw tooDeep();
    if (aliased && ++this.#aliased > maxAliased)
      throw this.#refuse(`aliases repeat more than ${maxAliased} values; write them out`);
    if (isAlias(node)) return this.read(this.#target(node), path, depth + 1, true);
    if (isMap(node)) return this.#readMap(node, path, depth, aliased);
    if (isSeq(node)) return node.items.map((item, index) => this.read(item, `${path}[${index}]`, depth + 1, aliased));
    return isScalar(node) ? this.#readScalar(node.value) : null;
  }

  #target(alias: Alias): unknown {
    const target = alias.resolve(this.#document);
    if (!target) throw this.#refuse(`unknown anchor '${alias.source}' referenced`);
    return target;
  }

  #readMap(map: YAMLMap, path: string, depth: number, aliased: boolean): JsonObject {
    const result: JsonObject = {};
    const merged: JsonObject = {};
    for (const pair of map.items) {
      const key = this.#keyOf(pair);
      const name = String(key);
      const here = path === '' ? name : `${path}.${name}`;
      const value = this.read(pair.value, here, depth + 1, aliased);
      // The reader marks the << of YAML 1.1 by a symbol, so that a quoted one stays a name.
      if (typeof key === 'symbol') this.#merge(merged, value);
      else {
        if (Object.hasOwn(result, name)) this.duplicates.push(here);
        result[name] = value;
      }
    }
    return { ...merged, ...result };
  }

  #keyOf({ key }: Pair): string | symbol {
    const node = isAlias(key) ? this.#target(key) : key;
    if (!isScalar(node)) throw this.#refuse('a key must be a text, a number or a truth value');
    if (typeof node.value === 'symbol') return node.value;
    const name = String(node.value);
    refuseDangerousName(name);
    return name;
  }

  /** `<<`: the fields of another map, or of several, the first of which wins. */
  #merge(into: JsonObject, value: Json): void {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (typeof one !== 'object' || one === null || Array.isArray(one))
        throw this.#refuse('map merge requires map or sequence of maps as the value');
      for (const [name, field] of Object.entries(one)) if (!Object.hasOwn(into, name)) into[name] = field;
    }
  }

  #readScalar(value: unknown): Json {
    if (typeof value === 'bigint') return exactNumber(value);
    if (typeof value === 'number' && !Number.isFinite(value)) throw this.#refuse(`JSON has no number ${value}`);
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return value;
    throw this.#refuse('there is a value that JSON does not have');
  }

  #refuse(why: string): ApiError {
    return new ApiError('BadRequest', `${this.#what}: yaml parse error: ${why}`);
  }
}

export function printYaml(value: Json): string {
  // As YAML 1.1, which is what Go's readers expect: then texts such as y, on or a time are quoted.
  return stringify(value, { version: '1.1', aliasDuplicateObjects: false, sortMapEntries: true, lineWidth: 0 });
}
