/**
 * Lets machines leave hosts that are drained, as many at a time as spec.minAvailable allows. The cluster server asks by
 * `status.attempt.drain`, for every machine of a pool; the answer is an annotation with the number of the attempt. Past the drain's
 * deadline it does not wait for one.
 */
import { done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { VirtualMachine, type VMPool } from '#lib/api/generated/index.ts';
import { annotations } from '#lib/api/names.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Facts } from './facts.ts';
import { wantedOf } from './plan.ts';
import type { Scope } from './scope.ts';

/** So many members have to stay ready. A percentage is rounded up. */
export function leastAvailable({ minAvailable = 0, replicas }: VMPool['spec']): number {
  if (typeof minAvailable === 'number') return minAvailable;
  return Math.ceil((replicas * Number.parseInt(minAvailable, 10)) / 100);
}

/** Those that may go now. One that is not ready is missed by nobody. Pure. */
export function drainGrants(spec: VMPool['spec'], machines: readonly Facts[]): readonly Facts[] {
  const members = wantedOf(spec, machines);
  const asking = members.filter(({ drain, granted }) => drain === 'Waiting' && !granted);
  const staying = members.filter(({ ready, drain, granted }) => ready && !granted && drain !== 'Evicting');
  const spare = Math.max(0, staying.length - leastAvailable(spec));
  const ready = asking.filter((facts) => facts.ready).toSorted((a, b) => a.ordinal - b.ordinal);
  return [...asking.filter((facts) => !facts.ready), ...ready.slice(0, spare)];
}

/** Also of a paused pool: whose host is taken away is not the pool's to decide. */
export function grantDrains({ client, events }: Deps): Phase<Scope> {
  return async ({ pool, machines, granted }, { signal }) => {
    let raced = false;
    for (const { vm, name } of drainGrants(pool.spec, machines)) {
      const { namespace, uid, resourceVersion } = vm.metadata;
      const number = String(vm.status!.attempt!.number);
      const metadata = { resourceVersion, annotations: { [annotations.drainGranted]: number } };
      try {
        await client.patch(VirtualMachine, { namespace, name }, { metadata }, { signal });
        granted.set(uid, number);
        events.normal(pool, 'DrainGranted', `${name} may leave host ${vm.status!.attempt!.host}, which is drained`);
      } catch (error) {
        if (!isCode(error, 'NotFound', 'Conflict')) throw error;
        raced = true;
      }
    }
    return raced ? wait('DrainGranted', 'A machine changed while it was let go; looks again', 200) : done;
  };
}

/** What was granted and the cache may not know yet: uid -> number of the attempt. Machines that are gone are forgotten. */
export function remembered(granted: Map<string, string>, isThere: (uid: string) => boolean): Map<string, string> {
  for (const uid of granted.keys()) if (!isThere(uid)) granted.delete(uid);
  return granted;
}
