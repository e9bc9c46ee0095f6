import type { JsonObject } from '#apiserver/json/json.ts';
import { capUpdaters } from './cap.ts';
import { isSame } from './compare.ts';
import { isNothing, union } from './field-set.ts';
import { identityOf, type Managers, withoutIdle } from './managers.ts';
import { withoutIdentity } from './visible.ts';
import { changesBetween, upToDate, withdraw } from './withdraw.ts';
import type { Types, Writer } from './writer.ts';

/**
 * Who owns what after a write that is no apply: the writer owns what it has changed or added, and nobody any longer what it has
 * changed or removed. Neither object has managedFields.
 */
export function update(old: JsonObject, next: JsonObject, managers: Managers, writer: Writer, types: Types): Managers {
  const { reach, ...self } = writer;
  const changes = changesBetween(old, next, types, reach);
  const own = changes(writer.apiVersion);
  const known = upToDate(managers, types);
  if (isSame(own)) return known;
  const result = new Map(withdraw(known, undefined, changes).managers);
  const fields = withoutIdentity(union(own.added, own.modified));
  if (!isNothing(fields)) {
    const id = identityOf(writer);
    const before = result.get(id);
    result.set(id, { ...self, fields: before ? union(before.fields, fields) : fields });
  }
  return capUpdaters(withoutIdle(result));
}
