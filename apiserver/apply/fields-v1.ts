/** Field sets as metav1.FieldsV1: nested objects, in which `.` stands for the node itself. */
import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { type FieldSet, inOrder, isNothing, leaf, nodeOf } from './field-set.ts';
import { canonicalStep } from './step.ts';

/** SyntaxError for JSON that is no field set. */
export function readFieldsV1(json: Json): FieldSet {
  const { children } = readNode(json);
  return nodeOf(false, children);
}

function readNode(json: Json): FieldSet {
  if (!isObject(json)) throw new SyntaxError('a set of fields is an object of objects');
  const entries = Object.entries(json);
  if (entries.length === 0) return leaf;
  let owned = false;
  const children: [string, FieldSet][] = [];
  for (const [step, below] of entries)
    if (step === '.') owned = true;
    else children.push([canonicalStep(step), readNode(below)]);
  return nodeOf(owned, children);
}

export function writeFieldsV1(set: FieldSet): JsonObject {
  return Object.fromEntries(inOrder(set).map(([step, child]) => [step, writeNode(child)]));
}

function writeNode(set: FieldSet): JsonObject {
  const below = writeFieldsV1(set);
  return set.owned && !isNothing({ ...set, owned: false }) ? { '.': {}, ...below } : below;
}
