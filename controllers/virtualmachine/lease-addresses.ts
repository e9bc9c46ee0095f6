/**
 * One IPLease per interface. The lease is named by subnet and address, so two machines cannot get one address; it holds the machine's
 * uid, so that it outlives attempts and a machine that is made again under the same name is another holder. A retry after a crash
 * finds the lease by uid and MAC. Where the site gives the addresses there is no lease, and only the MAC is ours. Condition: NetworkReady.
 */
import { done, type Outcome, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { addressPlan, blockSize, freeAddresses, givenBySite, isUsable } from '#lib/api/addresses.ts';
import { parseDuration } from '#lib/api/duration.ts';
import { IPLease, type Subnet, type VirtualMachine } from '#lib/api/generated/index.ts';
import { parseIPv4 } from '#lib/api/ipv4.ts';
import { apiVersionOf, type Draft } from '#lib/api/meta.ts';
import { leaseName } from '#lib/api/names.ts';
import { isCode } from '#lib/std/errors.ts';
import { macCandidates } from './identity.ts';
import { isConflicted } from './quarantine-foreign.ts';
import type { ResolvedNetwork, Scope } from './scope.ts';
import type { Taken } from './taken.ts';

/** Tries of one run on addresses that turn out to be taken: enough for a burst, few enough to stay a bounded run. */
const triesMax = 64;
/** The release of an address is an event, but an address given back by hand may be any; so it is looked again. */
const retryMs = 15_000;

/** The leases of one subnet, in quarantine or not, as the cache has them. Nothing here looks at all of them. */
export interface SubnetLeases {
  has(ip: string): boolean;
  /** How many there are in a block of addresses (blockOf). */
  inBlock(block: string): number;
  withMac(mac: string): readonly IPLease[];
}

export interface Leases {
  readonly ofSubnet: (namespace: string, subnet: string) => SubnetLeases;
  /** uids of the machines that have this MAC on a network of the site, where many Subnets may be, of other namespaces too. */
  readonly onSiteWithMac: (mac: string) => readonly string[];
  readonly taken: Taken;
}

export function leaseAddresses(deps: Deps, leases: Leases): Phase<Scope> {
  return async (scope, run) => {
    const networks: ResolvedNetwork[] = [];
    for (const index of (scope.vm.spec.networks ?? []).keys()) {
      const subnet = scope.subnets[index];
      const refusal = subnetRefusal(scope.vm, index, subnet) ?? quarantined(scope, index, run);
      if (refusal) return refusal;
      if (subnet!.spec.ipam === 'External') {
        networks.push(outsideNetwork(subnet!, outsideMac(leases, scope.vm, subnet!, index)));
        continue;
      }
      const address = heldAddress(scope, index) ?? (await takeAddress(deps, leases, scope.vm, subnet!, index, run));
      if ('done' in address) return address;
      networks.push(resolvedNetwork(scope.vm, subnet!, address));
    }
    scope.resolved.networks = networks;
    scope.met.add('NetworkReady');
    return done;
  };
}

function subnetRefusal(vm: VirtualMachine, index: number, subnet: Subnet | undefined): Outcome | undefined {
  const name = vm.spec.networks![index]!.subnet;
  if (!subnet)
    return wait('NotFound', `Subnet "${name}" does not exist. It goes on by itself once somebody creates it`);
  if (subnet.metadata.deletionTimestamp) return wait('Failed', `Subnet "${name}" is being deleted. Name another one`);
  if (subnet.status?.vni === undefined) return wait('Waiting', `Subnet "${name}" has no VXLAN id yet`);
  const { ip } = vm.spec.networks![index]!;
  if (subnet.spec.ipam === 'External' && ip)
    return wait(
      'AddressConflict',
      `Address ${ip} is not ours to give: ${givenBySite(name)}. Take spec.networks[${index}].ip out`,
    );
  return undefined;
}

/** The MAC that it had, as long as it is one of its own; else the first that no other machine has on a network of the site. */
function outsideMac({ onSiteWithMac, taken }: Leases, vm: VirtualMachine, subnet: Subnet, index: number): string {
  const { uid } = vm.metadata;
  const macs = macCandidates(uid, index);
  const isFree = (mac: string) =>
    onSiteWithMac(mac).every((holder) => holder === uid) && !taken.isForAnother(onSite, mac, uid);
  const had = vm.status?.networks?.find((old) => old.subnetUID === subnet.metadata.uid && macs.includes(old.mac ?? ''));
  const mac = had?.mac ?? macs.find(isFree) ?? macs[0]!;
  taken.add(onSite, mac, uid);
  return mac;
}

const onSite = 'mac';

/** An address that it must have, and that somebody else has: it waits for the end of the quarantine, and tries again. */
function quarantined({ vm, leases }: Scope, index: number, { nowMs }: Run): Outcome | undefined {
  const { subnet, ip } = vm.spec.networks![index]!;
  const isOnly = ({ spec }: IPLease) => spec.subnet === subnet && (ip ? spec.ip === ip : index === 0 && spec.static);
  const lease = leases.find((each) => isOnly(each) && isConflicted(each, vm));
  if (!lease) return undefined;
  const until = lease.status?.quarantinedUntil;
  const message =
    `Address ${lease.spec.ip} is in quarantine${until ? ` until ${until}` : ''} because somebody else answers at it, see the events. ` +
    'Take it away from there, or give the machine another address';
  return wait(
    'AddressConflict',
    message,
    Math.max(1000, Math.min(retryMs, Date.parse(until ?? '') - nowMs || retryMs)),
  );
}

interface Address {
  readonly ip: string;
  readonly mac: string;
}

/** The address that this interface has already: of a lease with its MAC, or of one that a user made before for this name. */
function heldAddress({ vm, leases }: Scope, index: number): Address | undefined {
  const { subnet, ip } = vm.spec.networks![index]!;
  const macs = macCandidates(vm.metadata.uid, index);
  const here = leases
    .filter((lease) => lease.spec.subnet === subnet && (!ip || lease.spec.ip === ip) && !isConflicted(lease, vm))
    .map(({ spec }) => spec);
  const own = here.find((spec) => spec.holderUID === vm.metadata.uid && spec.mac && macs.includes(spec.mac));
  if (own) return { ip: own.ip, mac: own.mac! };
  const made = index === 0 ? here.find((spec) => spec.static) : undefined;
  return made && { ip: made.ip, mac: made.mac || macs[0]! };
}

async function takeAddress(
  deps: Deps,
  { ofSubnet, onSiteWithMac, taken }: Leases,
  vm: VirtualMachine,
  subnet: Subnet,
  index: number,
  run: Run,
): Promise<Address | Outcome> {
  const { uid, name } = subnet.metadata;
  const plan = addressPlan(subnet.spec);
  const fixed = vm.spec.networks![index]!.ip;
  if (fixed && !isUsable(plan, parseIPv4(fixed)))
    return wait(
      'AddressConflict',
      `Address ${fixed} is excluded, the gateway's or outside of ${subnet.spec.cidr}. Change it`,
    );
  const leases = ofSubnet(vm.metadata.namespace!, name);
  const macHolders = (mac: string) => [
    ...leases.withMac(mac).map(({ spec }) => spec.holderUID),
    ...(subnet.spec.segment ? onSiteWithMac(mac) : []),
  ];
  const mac = freeMac(vm, index, macHolders);
  const known = {
    has: (ip: string) => leases.has(ip) || taken.isForAnother(uid, ip, vm.metadata.uid),
    isFull: (block: string) => leases.inBlock(block) === blockSize,
  };
  if (fixed && leases.has(fixed)) return conflict(name, fixed);
  let tries = 0;
  for (const ip of fixed ? [fixed] : freeAddresses(plan, known)) {
    // Before the call: whoever looks while it is under way goes on to the next address.
    taken.add(uid, ip, vm.metadata.uid);
    if (await createLease(deps, vm, name, { ip, mac }, run)) return { ip, mac };
    taken.add(uid, ip, '');
    if (fixed) return conflict(name, fixed);
    if (++tries >= triesMax) return wait('Waiting', `The first ${tries} addresses of "${name}" were taken`, 100);
  }
  return wait('SubnetExhausted', exhausted(subnet, plan.usable), retryMs);
}

const conflict = (subnet: string, ip: string) =>
  wait('AddressConflict', `Address ${ip} has another holder: see IPLease "${leaseName(subnet, ip)}"`, retryMs);

const exhausted = ({ metadata, spec }: Subnet, usable: number) =>
  `Subnet "${metadata.name}" (${spec.cidr}) has none of its ${usable} addresses free. It goes on when one is released`;

function freeMac(vm: VirtualMachine, index: number, holders: (mac: string) => readonly (string | undefined)[]): string {
  const macs = macCandidates(vm.metadata.uid, index);
  const isFree = (mac: string) => holders(mac).every((holder) => holder === vm.metadata.uid);
  return macs.find(isFree) ?? macs[0]!;
}

/** True if the address is ours now, also when an earlier try had made the lease and never heard of it. */
async function createLease(
  { client }: Deps,
  vm: VirtualMachine,
  subnet: string,
  { ip, mac }: Address,
  { signal }: Run,
): Promise<boolean> {
  const { namespace } = vm.metadata;
  const name = leaseName(subnet, ip);
  try {
    await client.create(IPLease, leaseFor(vm, name, { subnet, ip, mac }), { signal });
    return true;
  } catch (error) {
    if (!isCode(error, 'AlreadyExists')) throw error;
  }
  try {
    const lease = await client.get(IPLease, { namespace, name }, { signal });
    return lease.spec.holderUID === vm.metadata.uid && lease.spec.mac === mac && !isConflicted(lease, vm);
  } catch (error) {
    // Freed in between: not ours this time; the address is looked at again later.
    if (isCode(error, 'NotFound')) return false;
    throw error;
  }
}

function outsideNetwork({ metadata, spec, status }: Subnet, mac: string): ResolvedNetwork {
  return {
    subnet: metadata.name,
    subnetUID: metadata.uid,
    vni: status!.vni!,
    mac,
    mtu: spec.mtu,
    ipam: 'External',
    cidr: spec.cidr,
    ...(spec.segment && { segment: spec.segment }),
  };
}

/** No ownerReference: garbage collection would free the address before its quarantine. */
function leaseFor(vm: VirtualMachine, name: string, spec: Address & { readonly subnet: string }): Draft<IPLease> {
  return {
    apiVersion: apiVersionOf(IPLease),
    kind: IPLease.kind,
    metadata: { namespace: vm.metadata.namespace!, name },
    spec: { ...spec, holderUID: vm.metadata.uid, holderName: vm.metadata.name },
  };
}

function resolvedNetwork(
  vm: VirtualMachine,
  { metadata, spec, status }: Subnet,
  { ip, mac }: Address,
): ResolvedNetwork {
  const isSame = (old: ResolvedNetwork) => old.subnetUID === metadata.uid && old.ip === ip && old.mac === mac;
  const used = vm.status?.networks?.some((old) => isSame(old) && old.used);
  return {
    subnet: metadata.name,
    subnetUID: metadata.uid,
    vni: status!.vni!,
    ip,
    prefix: addressPlan(spec).network.prefix,
    gateway: status!.gateway ?? '',
    mac,
    mtu: spec.mtu,
    dns: spec.dhcp.dns ?? [],
    domain: spec.dhcp.domain ?? '',
    leaseSeconds: Math.floor(parseDuration(spec.dhcp.leaseTime) / 1000),
    lease: leaseName(metadata.name, ip),
    ...(spec.egress === 'NAT' && { egress: 'NAT' as const }),
    ...(spec.segment && { segment: spec.segment }),
    ...(used && { used }),
  };
}
