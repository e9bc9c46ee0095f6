import type { VMSnapshot } from './generated/vmsnapshot.ts';

/** What a machine that was made from the snapshot begins without, in words to be added; empty if there is nothing. */
export function withoutNotKept({ status }: Pick<VMSnapshot, 'status'>): string {
  const { notKept = [] } = status ?? {};
  return notKept.length === 0 ? '' : `, without what was on ${notKept.join(', ')}`;
}
