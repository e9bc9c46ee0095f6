import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { CrdCondition } from '#apiserver/resources/crd.ts';

/** The condition added or replaced; the time is kept as long as the status is the same. */
export function setCondition(
  conditions: readonly CrdCondition[],
  next: CrdCondition,
  now: string,
): readonly CrdCondition[] {
  const old = conditions.find(({ type }) => type === next.type);
  const lastTransitionTime = old?.status === next.status ? (old.lastTransitionTime ?? now) : now;
  const { type, status, ...rest } = next;
  const timed = { type, status, lastTransitionTime, ...rest };
  return old ? conditions.map((condition) => (condition === old ? timed : condition)) : [...conditions, timed];
}

export function withCondition(object: StoredObject, next: CrdCondition, now: string): StoredObject {
  const status = at(object, 'status');
  const known = isObject(status) ? status : {};
  const list = at(known, 'conditions');
  const conditions = setCondition((Array.isArray(list) ? list : []) as unknown as CrdCondition[], next, now);
  return { ...object, status: { ...known, conditions: conditions as unknown as JsonObject[] } };
}
