/** The end of a machine, once no attempt of it is left: addresses into quarantine, then the object. */
import { done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { parseDuration } from '#lib/api/duration.ts';
import { IPLease, VirtualMachine } from '#lib/api/generated/index.ts';
import { finalizers } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Scope } from './scope.ts';

/** The cluster server kills the attempt and closes it on proof; that write wakes us. */
export const awaitAttemptGone: Phase<Scope> = ({ vm }) => {
  const attempt = vm.status?.attempt;
  return attempt ? wait('WaitingForHost', `Attempt ${attempt.number} on ${attempt.host} is not proven gone yet`) : done;
};

/**
 * Each lease of this uid: into quarantine for the subnet's releaseCooldown, so that no neighbour meets an address that others still
 * have in their tables; deleted at once if that is 0 or the subnet is gone. Leases that a user made stay. Safe to repeat.
 */
export function releaseLeases({ client }: Deps): Phase<Scope> {
  return async ({ vm, leases, subnetOf }, run) => {
    const own = leases.filter((lease) => lease.spec.holderUID === vm.metadata.uid && !lease.spec.static);
    for (const lease of own.filter(({ status }) => status?.phase !== 'Quarantined')) {
      const subnet = subnetOf(lease.spec.subnet);
      const cooldownMs = subnet ? parseDuration(subnet.spec.releaseCooldown) : 0;
      const { namespace, name, uid } = lease.metadata;
      const status = {
        phase: 'Quarantined',
        quarantinedUntil: timestamp(run.nowMs + cooldownMs),
        reason: 'Released',
      };
      try {
        if (cooldownMs === 0) await client.delete(IPLease, { namespace, name }, { uid, signal: run.signal });
        else await client.patchStatus(IPLease, { namespace, name }, { status }, { signal: run.signal });
      } catch (error) {
        if (!isCode(error, 'NotFound')) throw error;
      }
    }
    return done;
  };
}

/** With the resourceVersion that was decided on: an attempt that the cluster server stored meanwhile makes this a Conflict. */
export function removeFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ vm }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = vm.metadata;
    if (!held.includes(finalizers.vmCleanup)) return done;
    const rest = held.filter((finalizer) => finalizer !== finalizers.vmCleanup);
    try {
      await client.patch(
        VirtualMachine,
        { namespace, name },
        { metadata: { resourceVersion, finalizers: rest } },
        { signal },
      );
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
    }
    return done;
  };
}
