import { type FieldSet, leaf, nodeOf } from './field-set.ts';
import { typeBelow } from './to-field-set.ts';
import type { Type } from './type.ts';

/** The set after lists or maps have become atomic in the schema: who owned something in one owns it as a whole. */
export function collapseAtomic(set: FieldSet, type: Type | undefined): FieldSet {
  if (!type || set.children.size === 0) return set;
  const inMap = set.children.keys().next().value?.startsWith('f:') === true;
  if (inMap ? type.map?.atomic : type.list?.kind === 'atomic') return leaf;
  let changed = false;
  const children = [...set.children].map(([step, child]): [string, FieldSet] => {
    const below = collapseAtomic(child, typeBelow(type, step));
    changed ||= below !== child;
    return [step, below];
  });
  return changed ? nodeOf(set.owned, children) : set;
}
