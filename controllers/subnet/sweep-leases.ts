/**
 * Frees addresses whose time has come: quarantined ones after quarantinedUntil, and ones whose machine is gone without having released
 * them (a finalizer removed by hand, an object restored from a backup). For the latter the cache is not believed: the machine is asked
 * for by name, and its uid compared, before anything is taken away; then it goes through quarantine like any other. A lease that a user
 * made is never freed: after a quarantine it holds again. The address of a machine that was let go on a host that did not answer is in
 * quarantine until that host has shown that nothing of it is there, and then for the usual time.
 */
import { done, type Outcome, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { parseDuration } from '#lib/api/duration.ts';
import { hostNotClean, tombstoneOf } from '#lib/api/forgotten.ts';
import { Host, IPLease, type Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import { finalizers } from '#lib/api/names.ts';
import type { Cache } from '#lib/client/cache.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Scope } from './scope.ts';

/** A lease may be older than what the cache knows of its machine, but not by so much. */
export const orphanAfterMs = 5 * 60_000;

/** Whether a host is clean is asked this often; nothing else tells. */
const askHostMs = 30_000;

export function sweepLeases(deps: Deps, machines: Cache<VirtualMachine>, hosts: Cache<Host>): Phase<Scope> {
  return async ({ subnet, leases }, run) => {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lease of leases) {
      if (lease.status?.reason === hostNotClean) {
        if (await isHostClean(deps, hosts, lease, run)) await letGo(deps, subnet, lease, run);
        nextMs = Math.min(nextMs, run.nowMs + askHostMs);
        continue;
      }
      const dueMs = dueTime(lease, machines);
      if (dueMs === undefined) continue;
      if (dueMs > run.nowMs) nextMs = Math.min(nextMs, dueMs);
      else if (lease.status?.phase === 'Quarantined') await (lease.spec.static ? bind : free)(deps, lease, run);
      else if (await isHolderGone(deps, lease, run)) await quarantine(deps, subnet, lease, run);
    }
    return afterSweep(nextMs, run);
  };
}

/** When something is to be looked at; undefined for a lease whose machine is there. */
function dueTime({ metadata, spec, status }: IPLease, machines: Cache<VirtualMachine>): number | undefined {
  if (status?.phase === 'Quarantined') return status.quarantinedUntil ? Date.parse(status.quarantinedUntil) : 0;
  if (spec.static || !spec.holderUID || machines.byUid(spec.holderUID)) return undefined;
  return Date.parse(metadata.creationTimestamp) + orphanAfterMs;
}

function afterSweep(nextMs: number, { nowMs }: Run): Outcome {
  return Number.isFinite(nextMs) ? wait('Quarantine', 'An address becomes free later', nextMs - nowMs) : done;
}

/** The cache may be older than the note: that the host is clean is not believed before the host was read. */
async function isHostClean({ client }: Deps, hosts: Cache<Host>, lease: IPLease, { signal }: Run): Promise<boolean> {
  const { host: name = '' } = lease.status ?? {};
  if (tombstoneOf(hosts.get(name), lease.spec.holderUID)) return false;
  try {
    return tombstoneOf(await client.get(Host, { name }, { signal }), lease.spec.holderUID) === undefined;
  } catch (error) {
    // Deleted by somebody who was told what is noted with it (apiserver/admission/infrastructure.ts).
    if (isCode(error, 'NotFound')) return true;
    throw error;
  }
}

/** Into quarantine as when a machine is deleted. */
async function letGo({ client }: Deps, subnet: Subnet, lease: IPLease, { nowMs, signal }: Run): Promise<void> {
  const { namespace, name, resourceVersion, finalizers: held = [] } = lease.metadata;
  const quarantinedUntil = timestamp(nowMs + parseDuration(subnet.spec.releaseCooldown));
  const status = { phase: 'Quarantined', quarantinedUntil, reason: 'Released', host: null };
  try {
    if (held.includes(finalizers.hostCleanup)) {
      const rest = held.filter((finalizer) => finalizer !== finalizers.hostCleanup);
      const patch = { metadata: { resourceVersion, finalizers: rest } };
      await client.patch(IPLease, { namespace, name }, patch, { signal });
    }
    await client.patchStatus(IPLease, { namespace, name }, { status } as never, { signal });
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
}

async function isHolderGone({ client }: Deps, { metadata, spec }: IPLease, { signal }: Run): Promise<boolean> {
  if (!spec.holderName) return true;
  try {
    const vm = await client.get(VirtualMachine, { namespace: metadata.namespace, name: spec.holderName }, { signal });
    return vm.metadata.uid !== spec.holderUID;
  } catch (error) {
    if (isCode(error, 'NotFound')) return true;
    throw error;
  }
}

/** As it was seen: meanwhile its machine may have been let go, which holds the address for longer. */
async function quarantine(
  { client, events }: Deps,
  subnet: Subnet,
  lease: IPLease,
  { nowMs, signal }: Run,
): Promise<void> {
  const { namespace, name, resourceVersion } = lease.metadata;
  const quarantinedUntil = timestamp(nowMs + parseDuration(subnet.spec.releaseCooldown));
  const status = { phase: 'Quarantined', quarantinedUntil, reason: 'HolderGone' };
  await client.patchStatus(IPLease, { namespace, name }, { metadata: { resourceVersion }, status } as never, {
    signal,
  });
  events.warning(
    subnet,
    'OrphanFound',
    `Address ${lease.spec.ip} was held by a machine that is gone; it is in quarantine`,
  );
}

async function free({ client }: Deps, lease: IPLease, { signal }: Run): Promise<void> {
  const { namespace, name, uid } = lease.metadata;
  try {
    await client.delete(IPLease, { namespace, name }, { uid, signal });
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
}

async function bind({ client }: Deps, { metadata: { namespace, name } }: IPLease, { signal }: Run): Promise<void> {
  const status = { phase: 'Bound', quarantinedUntil: null, reason: null };
  try {
    await client.patchStatus(IPLease, { namespace, name }, { status } as never, { signal });
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
}
