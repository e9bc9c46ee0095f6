/**
 * The end of a lease whose address somebody else has: a host asked on the wire and was answered (published API, IPLease rule 7). The
 * address goes into quarantine, so that nobody else is given it, and the machine takes the next one.
 */
import { done, type Phase } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { parseDuration } from '#lib/api/duration.ts';
import { IPLease, type Subnet, type VirtualMachine } from '#lib/api/generated/index.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Scope } from './scope.ts';

/** Also where the Subnet's releaseCooldown is less: who answers there does not know of our leases, and will not be gone at once. */
const cooldownMinMs = 10 * 60_000;

type Conflict = NonNullable<NonNullable<NonNullable<VirtualMachine['status']>['attempts']>[number]['conflict']>;

/** A lease that was given before such an answer came, and must not be used. */
export function isConflicted({ metadata, spec, status }: IPLease, { status: machine }: VirtualMachine): boolean {
  if (status?.phase === 'Quarantined') return true;
  // The cache of leases may be older than the answer. One that a user made for a name is the same again after its quarantine.
  return (machine?.attempts ?? []).some(
    ({ conflict, ended }) =>
      !spec.static &&
      conflict?.subnet === spec.subnet &&
      conflict.ip === spec.ip &&
      Date.parse(metadata.creationTimestamp) <= Date.parse(ended ?? ''),
  );
}

/** Before the ending is judged, which is stored with the status: a crash in between does it again. */
export function quarantineForeign({ client, events }: Deps): Phase<Scope> {
  return async ({ vm, leases, subnetOf }, { nowMs, signal }) => {
    const conflict = unjudgedConflict(vm);
    const lease = conflict && leases.find(({ spec }) => spec.subnet === conflict.subnet && spec.ip === conflict.ip);
    if (!lease || lease.status?.phase === 'Quarantined') return done;
    const { namespace, name } = lease.metadata;
    const quarantinedUntil = timestamp(nowMs + cooldownMs(subnetOf(conflict.subnet)));
    const status = { phase: 'Quarantined', quarantinedUntil, reason: 'ForeignHost' };
    try {
      await client.patchStatus(IPLease, { namespace, name }, { status }, { signal });
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
    }
    events.warning(vm, 'AddressConflict', `${sentenceOf(conflict)}. It is in quarantine until ${quarantinedUntil}`);
    return done;
  };
}

function unjudgedConflict({ status }: VirtualMachine): Conflict | undefined {
  const last = status?.attempts?.at(-1);
  return (last?.number ?? 0) > (status?.restarts?.relaunch ?? 0) ? last?.conflict : undefined;
}

function cooldownMs(subnet: Subnet | undefined): number {
  return Math.max(cooldownMinMs, subnet ? parseDuration(subnet.spec.releaseCooldown) : 0);
}

export function sentenceOf({ subnet, ip, mac }: Conflict): string {
  return `Somebody with the MAC ${mac} answers at address ${ip} of subnet "${subnet}" who has no lease of it`;
}
