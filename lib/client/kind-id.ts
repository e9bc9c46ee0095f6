import type { Kind } from '#lib/api/meta.ts';

/** Tells kinds apart; the key of maps by kind. Two values for one kind are equal by this and may differ by identity. */
export function kindId(kind: Pick<Kind, 'group' | 'plural'>): string {
  return `${kind.group}/${kind.plural}`;
}
