/**
 * Gives a Subnet its VXLAN id, counts its addresses, frees the ones whose time has come, and holds it while machines use it.
 * Conditions: Ready, Reconciling, Stalled, Exhausted, Conflict, DeletionBlocked.
 */
import { type Controller, done, type Ending, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { statusPace } from '#controllers/runtime/status-pace.ts';
import { type AddressPlan, addressPlan } from '#lib/api/addresses.ts';
import { ConfigMap } from '#lib/api/core.ts';
import { hostNotClean } from '#lib/api/forgotten.ts';
import { Host, IPLease, Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import { peersMax } from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { finalizers, systemNamespace } from '#lib/api/names.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { allocateVni, freeVni } from './allocate-vni.ts';
import type { Scope } from './scope.ts';
import { summarize } from './status.ts';
import { sweepLeases } from './sweep-leases.ts';
import { widthOf } from './width.ts';

const wideLookMs = 60_000;

export function subnetController(deps: Deps): Controller<Subnet, Scope> {
  const leases = deps.cache(IPLease, { subnet: ({ metadata, spec }) => [`${metadata.namespace}/${spec.subnet}`] });
  const machines = deps.cache(VirtualMachine, {
    onSubnet: ({ status }) => (status?.networks ?? []).flatMap(({ subnetUID }) => subnetUID ?? []),
  });
  const maps = deps.cache(ConfigMap, {
    vniOf: ({ metadata, data }) => (metadata.namespace === systemNamespace && data?.subnetUID ? [data.subnetUID] : []),
  });
  const hosts = deps.cache(Host);
  const sweep = sweepLeases(deps, machines, hosts);
  const pace = statusPace(2000);

  /** Leases come before hosts, so that they alone would not tell when it has become too wide. */
  const isWide = (subnet: Subnet) => !subnet.spec.segment && leases.by('subnet', keyOf(subnet)).length > peersMax;
  const lookAgain: Phase<Scope> = ({ subnet }) =>
    isWide(subnet) ? wait('Wide', 'Counts the hosts that carry it now and then', wideLookMs) : done;

  /** Whatever the phase before ended with, the figures of the status come no faster than the pace. */
  const paced =
    (phase: Phase<Scope>): Phase<Scope> =>
    async (scope, run) => {
      const ending = await phase(scope, run);
      const held = pace.outcome(scope.subnet, summarize(scope, ending, run), run.nowMs);
      scope.holdStatus = !held.done;
      return soonest(soonest(ending, held), await lookAgain(scope, run));
    };

  const namesOn = ({ metadata }: Subnet) => machines.by('onSubnet', metadata.uid).map((vm) => vm.metadata.name);
  const namesLetGo = ({ metadata }: Subnet) =>
    metadata.deletionTimestamp === undefined
      ? []
      : hosts
          .list()
          .flatMap(({ status }) => status?.pendingCleanup ?? [])
          .filter(
            ({ namespace, addresses = [] }) =>
              namespace === metadata.namespace &&
              addresses.some(({ subnet, ip }) => subnet === metadata.name && ip === undefined),
          )
          .map(({ name }) => name);

  return {
    name: 'subnet',
    for: Subnet,
    reads: [VirtualMachine, Host],
    writes: [Subnet, IPLease, ConfigMap],
    triggers: [{ kind: IPLease, map: (lease) => [`${lease.metadata.namespace}/${(lease as IPLease).spec.subnet}`] }],
    triggerPaceMs: 1_000,
    load: (subnet) => ({
      subnet,
      leases: leases.by('subnet', keyOf(subnet)),
      vniMaps: maps.by('vniOf', subnet.metadata.uid),
      outside: subnet.spec.ipam === 'External' ? [...namesOn(subnet), ...namesLetGo(subnet)] : [],
      ...validated(subnet),
      width: isWide(subnet) ? widthOf(machines.by('onSubnet', subnet.metadata.uid)) : undefined,
      vni: undefined,
      holdStatus: false,
    }),
    phases: [refuseInvalid, holdFinalizer(deps), allocateVni(deps), paced(sweep)],
    finalize: [sweep, awaitUnused, freeLeases(deps), freeVni(deps), removeFinalizer(deps)],
    summarize: (scope: Scope, ending: Ending, run: Run) => summarize(scope, ending, run),
  };
}

function validated({ spec }: Subnet): { plan: AddressPlan | undefined; invalid: string | undefined } {
  try {
    return { plan: addressPlan(spec), invalid: undefined };
  } catch (error) {
    if (error instanceof RangeError) return { plan: undefined, invalid: messageOf(error) };
    throw error;
  }
}

const refuseInvalid: Phase<Scope> = ({ invalid }) => (invalid === undefined ? done : wait('Invalid', invalid));

function soonest(a: Awaited<ReturnType<Phase<Scope>>>, b: Awaited<ReturnType<Phase<Scope>>>): typeof a {
  if (a.done || b.done) return a.done ? b : a;
  return (a.afterMs ?? Number.POSITIVE_INFINITY) <= (b.afterMs ?? Number.POSITIVE_INFINITY) ? a : b;
}

function holdFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ subnet }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = subnet.metadata;
    if (held.includes(finalizers.subnetInUse)) return done;
    const metadata = { resourceVersion, finalizers: [...held, finalizers.subnetInUse] };
    await client.patch(Subnet, { namespace, name }, { metadata }, { signal });
    return wait('Allocating', 'The finalizer was added; its event goes on');
  };
}

const lookAgainMs = 30_000;

/** No lease tells when the last machine goes of a subnet whose addresses the site gives. */
const countAgainMs = 3_000;

const awaitUnused: Phase<Scope> = ({ leases, outside }) => {
  const used = leases.filter(({ status }) => status?.phase !== 'Quarantined').length;
  if (used > 0) return wait('InUse', `${used} addresses are in use`);
  if (outside.length > 0) return wait('InUse', `${outside.length} machines are on it`, countAgainMs);
  const held = leases.find(({ status }) => status?.reason === hostNotClean);
  if (!held) return done;
  const message = `Address ${held.spec.ip} may be in use by a deleted machine on Host "${held.status?.host}", which does not answer`;
  return wait('InUse', message, lookAgainMs);
};

/** In quarantine nobody uses them any more, and without the subnet there are no neighbours to be confused. */
function freeLeases({ client }: Deps): Phase<Scope> {
  return async ({ leases }, { signal }) => {
    for (const { metadata } of leases) {
      const { namespace, name, uid } = metadata;
      try {
        await client.delete(IPLease, { namespace, name }, { uid, signal });
      } catch (error) {
        if (!isCode(error, 'NotFound')) throw error;
      }
    }
    return done;
  };
}

function removeFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ subnet }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = subnet.metadata;
    const rest = held.filter((finalizer) => finalizer !== finalizers.subnetInUse);
    if (rest.length < held.length)
      await client.patch(Subnet, { namespace, name }, { metadata: { resourceVersion, finalizers: rest } }, { signal });
    return done;
  };
}
