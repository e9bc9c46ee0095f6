/**
 * What a part of an object was before an update. An update is not refused for what it leaves as it was, so that a schema may become
 * stricter than the objects that are stored (CRDValidationRatcheting).
 */
import { at, isObject, type Json } from '#apiserver/json/json.ts';
import { sameJson } from '#lib/std/same-json.ts';
import type { Schema } from './schema.ts';

export class Correlation {
  readonly #value: Json;
  readonly #old: Json;
  readonly #schema: Schema;
  #unchanged: boolean | undefined;
  #oldItems: ReadonlyMap<string, Json> | undefined;

  constructor(value: Json, old: Json, schema: Schema) {
    this.#value = value;
    this.#old = old;
    this.#schema = schema;
  }

  get old(): Json {
    return this.#old;
  }

  get unchanged(): boolean {
    this.#unchanged ??= sameJson(this.#value, this.#old);
    return this.#unchanged;
  }

  /** Undefined if the field is new. */
  field(name: string, schema: Schema): Correlation | undefined {
    return isObject(this.#value) && isObject(this.#old)
      ? correlate(at(this.#value, name), at(this.#old, name), schema)
      : undefined;
  }

  /** Only items of lists with keys can be told apart: undefined for all others, and for new ones. */
  item(index: number, schema: Schema): Correlation | undefined {
    const keys = this.#schema['x-kubernetes-list-map-keys'];
    const item = Array.isArray(this.#value) ? this.#value[index] : undefined;
    if (this.#schema['x-kubernetes-list-type'] !== 'map' || !keys || !Array.isArray(this.#old)) return undefined;
    this.#oldItems ??= new Map(this.#old.map((old) => [keyOf(old, keys), old]));
    return item === undefined ? undefined : correlate(item, this.#oldItems.get(keyOf(item, keys)), schema);
  }
}

function correlate(value: Json | undefined, old: Json | undefined, schema: Schema): Correlation | undefined {
  return value === undefined || old === undefined ? undefined : new Correlation(value, old, schema);
}

function keyOf(item: Json, keys: readonly string[]): string {
  return JSON.stringify(isObject(item) ? keys.map((key) => at(item, key) ?? null) : item);
}
