/** How objects that kubectl apply has kept by its own annotation come to be kept by server-side apply. */
import { at, atPath, isObject, type JsonObject, withPath } from '#apiserver/json/json.ts';
import { parseJson } from '#apiserver/json/strict.ts';
import { ApiError } from '#lib/std/errors.ts';
import { type Applied, type ApplyRequest, apply } from './apply.ts';
import { mistakesIn } from './check.ts';
import { compare } from './compare.ts';
import { difference, type FieldSet, isNothing, nothing, setOf } from './field-set.ts';
import { toFieldSet } from './to-field-set.ts';
import { type Types, typeIn, type Writer } from './writer.ts';

const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
const place = ['metadata', 'annotations', annotation];

/**
 * As apply. kubectl under its own name may take, without force, what the live object still has as kubectl apply wrote it; and where that
 * annotation is, it is kept in step, so that kubectl apply can take over again.
 */
export function applyAsKubectl(request: ApplyRequest): Applied {
  const { live, config, writer, types } = request;
  const first = apply(request);
  if (writer.name !== 'kubectl') return first;
  if (first.ok) return inStep(first, config);
  const allowed = live ? stillAsApplied(live, writer, types) : nothing;
  const conflicts = first.conflicts.filter(({ path }) => !isNothing(difference(setOf(path), allowed)));
  if (conflicts.length > 0) return { ok: false, conflicts };
  return inStep(apply({ ...request, force: true }), config);
}

/** What was applied last and has not changed since. Nothing if the annotation says nothing that can be understood. */
function stillAsApplied(live: JsonObject, writer: Writer, types: Types): FieldSet {
  const type = typeIn(writer.apiVersion, types);
  const last = read(atPath(live, place));
  if (!last || mistakesIn(last, type).length > 0) return nothing;
  const { added, removed, modified } = compare(last, live, type);
  return [added, removed, modified].reduce(difference, toFieldSet(last, type));
}

function read(text: unknown): JsonObject | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    const { value } = parseJson(text, annotation);
    return isObject(value) ? value : undefined;
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}

function inStep(applied: Applied, config: JsonObject): Applied {
  if (!applied.ok || !atPath(applied.object, place)) return applied;
  const text = `${JSON.stringify(withoutAnnotation(config))}\n`;
  return { ...applied, object: withPath(applied.object, place, text) };
}

function withoutAnnotation(config: JsonObject): JsonObject {
  const annotations = atPath(config, place.slice(0, 2));
  if (!isObject(annotations) || at(annotations, annotation) === undefined) return config;
  const { [annotation]: _, ...others } = annotations;
  return withPath(config, place.slice(0, 2), others);
}
