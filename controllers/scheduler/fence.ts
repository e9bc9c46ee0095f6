/**
 * spec.disconnect.selfFenceAfter as the cluster server counts it. The host counts from when it *sent* the last heartbeat that we acknowledged
 * (executor/fence/fences.ts). We acknowledge nothing that we did not hear, so counting from what we heard last we are later than the host,
 * whatever was lost or late on the way. Who led before us acknowledged nothing that it heard after we began to lead. Clocks are monotonic on
 * both sides. Pure.
 */
import { parseDuration } from '#lib/api/duration.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { MachineReport } from '#lib/api/messages.ts';
import type { ExecutorFact } from './executor-book.ts';

type Attempt = NonNullable<NonNullable<VirtualMachine['status']>['attempt']>;

/** From the end of its time until a machine is certainly dead: looked at twice a second, on a host that may have much else to do. */
const killMs = 20_000;
/** No two clocks of computers differ by more. */
const drift = 1 / 1000;

/**
 * Monotonic: from then on the host has switched the attempt off, if nothing is heard of it until then. Undefined if that is not certain: only
 * what the host said was armed counts, stored with the attempt and not taken back since.
 */
export function fencedFromMs(
  uid: string,
  { fence, number }: Attempt,
  executor: ExecutorFact | undefined,
  listeningSinceMs: number,
): number | undefined {
  if (!fence?.armed) return undefined;
  const report = executor?.machines.get(uid);
  if (executor && !(report?.attempt === number && report?.fence?.armed)) return undefined;
  const afterMs = Math.max(parseDuration(fence.after), report?.fence?.afterMs ?? 0);
  return Math.max(executor?.heardMs ?? 0, listeningSinceMs) + afterMs * (1 + drift) + killMs;
}

/** What is stored with the attempt. */
export function fenceOf({ fence }: MachineReport): Pick<Attempt, 'fence'> {
  return fence === undefined ? {} : { fence: { after: `${fence.afterMs / 1000}s`, armed: fence.armed } };
}
