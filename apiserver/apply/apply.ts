import { equalJson, type JsonObject } from '#apiserver/json/json.ts';
import { leaves } from './field-set.ts';
import { identityOf, type Manager, type Managers, withoutIdle } from './managers.ts';
import { merge } from './merge.ts';
import { prune } from './prune.ts';
import { changesBetween, current, type Settled, settle, type Types, typeIn, type Writer } from './settle.ts';
import { toFieldSet } from './to-field-set.ts';
import { update } from './update.ts';
import { within, withoutIdentity } from './visible.ts';

/** One field that somebody else owns with another value. */
export interface Conflict {
  readonly manager: Manager;
  readonly path: readonly string[];
}

export type Applied =
  | { readonly ok: true; readonly object: JsonObject; readonly managers: Managers }
  | { readonly ok: false; readonly conflicts: readonly Conflict[] };

/**
 * Lays a configuration over the live object, and takes back what the same applier had asked for before. Owners of what would change are
 * in conflict, or with `force` lose it. The configuration must be free of mistakes (check.ts) and have metadata; neither object has
 * managedFields. `live` is undefined for an object that is yet to be created.
 */
export function apply(
  live: JsonObject | undefined,
  config: JsonObject,
  managers: Managers,
  writer: Writer,
  types: Types,
  force: boolean,
): Applied {
  const type = typeIn(writer.apiVersion, types);
  const known = live && managers.size === 0 ? untracked(live, writer, types) : current(managers, types);
  const { reach, time, ...self } = writer;
  const id = identityOf(writer);
  const last = known.get(id);
  const wanted = { ...self, time: last?.time, fields: within(toFieldSet(config, type), reach) };
  const old = live ?? {};
  const merged = merge(old, config, type) as JsonObject;
  const object = prune(merged, last, wanted, new Map(known).set(id, wanted), types);
  const settled = settle(known, id, changesBetween(old, object, types, reach));
  if (!force && settled.lost.length > 0) return { ok: false, conflicts: conflictsOf(settled) };
  const fields = withoutIdentity(wanted.fields);
  // To agree with what is there is no change: it has no time.
  const changed = !equalJson(old, object);
  const applier = { ...wanted, fields, ...(changed ? { time } : {}) };
  return { ok: true, object, managers: withoutIdle(new Map(settled.managers).set(id, applier)) };
}

/** Nobody was noted down so far: all that is there belongs to whoever came before. */
function untracked(live: JsonObject, writer: Writer, types: Types): Managers {
  const before: Writer = { ...writer, name: 'before-first-apply', operation: 'Update' };
  return update({}, live, new Map(), before, types);
}

function conflictsOf({ lost }: Settled): Conflict[] {
  return lost.flatMap(({ manager, fields }) => leaves(fields).map((path) => ({ manager, path })));
}
