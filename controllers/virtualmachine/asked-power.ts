/** What accepted operations want of a machine that has no attempt: the cluster server can send them to no host. */
import type { VMOperation } from '#lib/api/generated/index.ts';

/**
 * Stop wins over Start: of two opposite operations the earlier one is superseded in a moment, and a machine that was not started yet is
 * easier to take back than one that was.
 */
export function askedPower(operations: readonly VMOperation[]): 'On' | 'Off' | undefined {
  const waiting = operations.filter(({ status }) => status?.phase === 'Pending').map(({ spec }) => spec.type);
  if (waiting.includes('Stop')) return 'Off';
  return waiting.includes('Start') || waiting.includes('Restart') ? 'On' : undefined;
}
