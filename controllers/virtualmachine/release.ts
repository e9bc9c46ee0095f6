/** The end of a machine, once no attempt of it is left: addresses into quarantine, then the object. */
import { done, type Outcome, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { parseDuration } from '#lib/api/duration.ts';
import { hostNotClean, isForgotten } from '#lib/api/forgotten.ts';
import { IPLease, VirtualMachine } from '#lib/api/generated/index.ts';
import { finalizers, hostObjectName } from '#lib/api/names.ts';
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
    if (isForgotten(vm)) return await holdLeases(client, vm, leases, run.signal);
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

/**
 * The machine may run: its addresses are nobody's, also those that a user made for its name, until its host has shown that it does not. The
 * finalizer keeps them when their namespace goes, and them the Subnet.
 */
async function holdLeases(
  client: Deps['client'],
  vm: VirtualMachine,
  leases: readonly IPLease[],
  signal: AbortSignal,
): Promise<Outcome> {
  const host = hostOf(vm);
  const isHeld = ({ spec, status }: IPLease) =>
    (spec.holderUID === vm.metadata.uid || spec.static) &&
    (status?.phase !== 'Quarantined' || status.reason === hostNotClean);
  for (const { metadata, status } of leases.filter(isHeld)) {
    const { namespace, name, resourceVersion, finalizers: held = [] } = metadata;
    try {
      if (!held.includes(finalizers.hostCleanup)) {
        const patch = { metadata: { resourceVersion, finalizers: [...held, finalizers.hostCleanup] } };
        await client.patch(IPLease, { namespace, name }, patch, { signal });
      }
      const next = { phase: 'Quarantined', reason: hostNotClean, host, quarantinedUntil: null };
      if (status?.reason !== hostNotClean)
        await client.patchStatus(IPLease, { namespace, name }, { status: next } as never, { signal });
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
    }
  }
  return done;
}

/** As its Cluster names the host of its last attempt. */
function hostOf({ status }: VirtualMachine): string {
  const last = status?.attempts?.at(-1);
  return hostObjectName(last?.cluster ?? '', last?.host ?? '');
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
