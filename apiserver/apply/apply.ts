import type { JsonObject } from '#apiserver/json/json.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { leaves } from './field-set.ts';
import { identityOf, type Manager, type Managers, withoutIdle } from './managers.ts';
import { merge } from './merge.ts';
import { prune } from './prune.ts';
import { toFieldSet } from './to-field-set.ts';
import { update } from './update.ts';
import { within, withoutIdentity } from './visible.ts';
import { changesBetween, upToDate, type Withdrawn, withdraw } from './withdraw.ts';
import { type Types, typeIn, type Writer } from './writer.ts';

/** One field that somebody else owns with another value. */
export interface Conflict {
  readonly manager: Manager;
  readonly path: readonly string[];
}

export type Applied =
  | { readonly ok: true; readonly object: JsonObject; readonly managers: Managers }
  | { readonly ok: false; readonly conflicts: readonly Conflict[] };

export interface ApplyRequest {
  /** undefined for an object that is yet to be created. Without managedFields. */
  readonly live: JsonObject | undefined;
  /** Free of mistakes (check.ts), with metadata, without managedFields. */
  readonly config: JsonObject;
  readonly managers: Managers;
  readonly writer: Writer;
  readonly types: Types;
  readonly force: boolean;
}

/**
 * Lays a configuration over the live object, and takes back what the same applier had asked for before. Owners of what would change are
 * in conflict, or with `force` lose it.
 */
export function apply({ live, config, managers, writer, types, force }: ApplyRequest): Applied {
  const type = typeIn(writer.apiVersion, types);
  const known = live && managers.size === 0 ? untracked(live, writer, types) : upToDate(managers, types);
  const { reach, time, ...self } = writer;
  const id = identityOf(writer);
  const last = known.get(id);
  const wanted = { ...self, time: last?.time, fields: within(toFieldSet(config, type), reach) };
  const old = live ?? {};
  const merged = merge(old, config, type) as JsonObject;
  const object = prune(merged, last, wanted, new Map(known).set(id, wanted), types);
  const others = withdraw(known, id, changesBetween(old, object, types, reach));
  if (!force && others.lost.length > 0) return { ok: false, conflicts: conflictsOf(others) };
  const fields = withoutIdentity(wanted.fields);
  // To agree with what is there is no change: it has no time.
  const changed = !sameJson(old, object);
  const applier = { ...wanted, fields, ...(changed ? { time } : {}) };
  return { ok: true, object, managers: withoutIdle(new Map(others.managers).set(id, applier)) };
}

/** Nobody was noted down so far: all that is there belongs to whoever came before. */
function untracked(live: JsonObject, writer: Writer, types: Types): Managers {
  const before: Writer = { ...writer, name: 'before-first-apply', operation: 'Update' };
  return update({}, live, new Map(), before, types);
}

function conflictsOf({ lost }: Withdrawn): Conflict[] {
  return lost.flatMap(({ manager, fields }) => leaves(fields).map((path) => ({ manager, path })));
}
