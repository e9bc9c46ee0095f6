import { difference, type FieldSet, intersection, isNothing } from './field-set.ts';
import { identityOf, type Manager, type Managers, withoutIdle } from './managers.ts';
import type { Writer } from './writer.ts';

export type FigureTaken =
  | { readonly ok: true; readonly managers: Managers }
  | { readonly ok: false; readonly owners: readonly Manager[] };

/**
 * Who owns the one figure that the scale subresource writes. As Kubernetes, its entries bear no time. An updater becomes the owner only of
 * what it has changed, and `force` is for those who apply.
 */
export function takeFigure(
  managers: Managers,
  figure: FieldSet,
  { reach: _, time: __, ...writer }: Writer,
  { changed, force }: { readonly changed: boolean; readonly force: boolean },
): FigureTaken {
  const id = identityOf(writer);
  const owners = [...managers].filter(
    ([other, { fields }]) => other !== id && !isNothing(intersection(fields, figure)),
  );
  if (!changed && writer.operation === 'Update') return { ok: true, managers };
  if (changed && !force && owners.length > 0) return { ok: false, owners: owners.map(([, owner]) => owner) };
  const result = new Map(managers);
  if (changed)
    for (const [other, owner] of owners) result.set(other, { ...owner, fields: difference(owner.fields, figure) });
  result.set(id, { ...writer, time: undefined, fields: figure });
  return { ok: true, managers: withoutIdle(result) };
}

/** Who applied the figure does not any more: it stays as it is, owned by whoever else owns it. */
export function leaveFigure(managers: Managers, writer: Writer): Managers {
  const result = new Map(managers);
  result.delete(identityOf(writer));
  return result;
}
