import { invalid } from '#apiserver/schema/causes.ts';
import { parseDuration } from '#lib/api/duration.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { defaultLostAfter } from '#lib/api/lost.ts';
import type { Cause } from '#lib/std/errors.ts';

const minuteMs = 60_000;

/** `field` is that of the spec. The patterns of the schema have been looked at before. */
export function checkDisconnect({ disconnect }: Pick<VirtualMachine['spec'], 'disconnect'>, field: string): Cause[] {
  const { selfFenceAfter, lostAfter = defaultLostAfter } = disconnect ?? {};
  if (selfFenceAfter === undefined) return [];
  const at = `${field}.disconnect.selfFenceAfter`;
  const afterMs = parseDuration(selfFenceAfter);
  if (afterMs < minuteMs)
    return [invalid(at, selfFenceAfter, 'must be at least 1m: a host counts as silent only after that')];
  if (afterMs <= parseDuration(lostAfter) - minuteMs) return [];
  return [
    invalid(
      at,
      selfFenceAfter,
      `must be at least 1m less than lostAfter, which is ${lostAfter}; raise that, or lower this`,
    ),
  ];
}
