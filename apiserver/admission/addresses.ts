/**
 * Rules of Subnet and IPLease, and of machines that ask for one address. Two requests that race for an address may both pass here; the
 * lease is an object named by the address, so only one of them gets it, and the other machine says so: NetworkReady=False, AddressConflict.
 */
import { invalidObject } from '#apiserver/http/status.ts';
import { atPath } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { invalid, tooLong } from '#apiserver/schema/causes.ts';
import { addressPlan, givenBySite, isUsable } from '#lib/api/addresses.ts';
import type { IPLease } from '#lib/api/generated/iplease.ts';
import type { Subnet } from '#lib/api/generated/subnet.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { parseCidr, parseIPv4, parseRange } from '#lib/api/ipv4.ts';
import { leaseName } from '#lib/api/names.ts';
import type { Cause } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { unchanged } from './immutable.ts';
import { lookUp, lookUpAll, ours } from './look-up.ts';
import type { AdmissionRequest, Rules } from './rules.ts';
import { admitSegment } from './segments.ts';

const newSubnet = 'create a new Subnet, move the machines there, then delete this one';
/** Leases are named after the subnet and the longest address. */
const maxSubnetName = 253 - '-255-255-255-255'.length;

/** The error's sentence as a cause, without the field that may stand in front of it. */
function readable(field: string, value: string, read: () => unknown): Cause[] {
  try {
    read();
    return [];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [invalid(field, value, error.message.replace(/^spec\.\w+: /, ''))];
  }
}

function checkSubnet({ metadata, spec }: Subnet): Cause[] {
  const { cidr, gateway, excludeIPs = [] } = spec;
  const network = readable('spec.cidr', cidr, () => {
    parseCidr(cidr);
    addressPlan({ cidr });
  });
  if (network.length > 0) return network;
  return [
    ...(metadata.name.length > maxSubnetName ? [tooLong('metadata.name', maxSubnetName)] : []),
    ...(gateway && gateway !== 'none'
      ? readable('spec.gateway', gateway, () => {
          parseIPv4(gateway);
          addressPlan({ cidr, gateway });
        })
      : []),
    ...excludeIPs.flatMap((text, index) =>
      readable(`spec.excludeIPs[${index}]`, text, () => {
        parseRange(text);
        addressPlan({ cidr, excludeIPs: [text] });
      }),
    ),
  ];
}

/** Machines were told the gateway with their address: it stays while one of them has an address. */
async function keepGateway(object: ApiObject, old: StoredObject | undefined, request: AdmissionRequest): Promise<void> {
  if (!old || request.part !== 'main' || sameJson(gatewayOf(object), gatewayOf(old))) return;
  const { name, namespace = '' } = old.metadata;
  const found = await lookUpAll<IPLease & ApiObject>(request.context, ours('ipleases'), namespace);
  const leases = found.filter(({ spec }) => spec.subnet === name);
  if (leases.length === 0) return;
  const why = `field is immutable while addresses are leased, and ${leases.length} are, ${leases[0]!.spec.ip} for example; ${newSubnet}`;
  throw invalidObject(request.resource, name, [invalid('spec.gateway', gatewayOf(object), why)]);
}

function gatewayOf(object: ApiObject) {
  return atPath(object, ['spec', 'gateway']) ?? '';
}

export const subnetRules: Rules = {
  check: (object, old) => [
    ...checkSubnet(object as unknown as Subnet),
    ...unchanged(object, old, ['spec.cidr', 'spec.type', 'spec.segment', 'spec.ipam'], newSubnet),
  ],
  async admit(object, old, request) {
    await keepGateway(object, old, request);
    await admitSegment(object, old, request);
  },
};

export const ipLeaseRules: Rules = {
  check(object, old) {
    const { metadata, spec } = object as unknown as IPLease;
    const name = leaseName(spec.subnet, spec.ip);
    return [
      ...readable('spec.ip', spec.ip, () => parseIPv4(spec.ip)),
      ...(metadata.name === name
        ? []
        : [invalid('metadata.name', metadata.name, `must be "${name}": the name is what makes an address unique`)]),
      ...unchanged(object, old, ['spec.subnet', 'spec.ip'], 'create a new IPLease for the other address'),
    ];
  },
  /** What users reserve by hand. Leases of machines are made from the subnet itself. */
  async admit(object, old, request) {
    const { metadata, spec } = object as unknown as IPLease;
    if (old || !spec.static) return;
    const subnet = await lookUp<Subnet & ApiObject>(request.context, ours('subnets'), request.namespace, spec.subnet);
    if (!subnet) request.warn(`spec.subnet: Subnet "${spec.subnet}" does not exist`);
    else refuseUnusable(request, metadata.name, 'spec.ip', spec.ip, subnet);
  },
};

/** Fixed addresses that can be seen to be wrong or taken. */
export async function admitAddresses(
  object: ApiObject,
  old: StoredObject | undefined,
  request: AdmissionRequest,
): Promise<void> {
  const { metadata, spec } = object as unknown as VirtualMachine;
  const before = (old as unknown as VirtualMachine | undefined)?.spec.networks ?? [];
  for (const [index, { subnet: name, ip }] of (spec.networks ?? []).entries()) {
    if (!ip || before.some((other) => other.subnet === name && other.ip === ip)) continue;
    const field = `spec.networks[${index}].ip`;
    const subnet = await lookUp<Subnet & ApiObject>(request.context, ours('subnets'), request.namespace, name);
    if (subnet) refuseUnusable(request, metadata.name, field, ip, subnet);
    const lease = await lookUp<IPLease & ApiObject>(
      request.context,
      ours('ipleases'),
      request.namespace,
      leaseName(name, ip),
    );
    if (!lease || isFor(lease, metadata)) continue;
    const holder = lease.spec.holderName ?? 'nobody by name';
    if (lease.status?.phase === 'Quarantined')
      request.warn(`${field}: ${ip} is in quarantine after ${holder}; the machine waits for it`);
    else {
      const why = `is held by ${holder}, see IPLease "${lease.metadata.name}"; choose another, or leave it out`;
      throw invalidObject(request.resource, metadata.name, [invalid(field, ip, why)]);
    }
  }
}

/** Its own, or one that was made for its name before it was there. */
function isFor({ spec }: IPLease, { uid, name }: { readonly uid: string; readonly name: string }): boolean {
  if (spec.holderUID) return spec.holderUID === uid;
  return spec.static && (!spec.holderName || spec.holderName === name);
}

function refuseUnusable(
  request: AdmissionRequest,
  name: string,
  field: string,
  ip: string,
  { metadata, spec }: Subnet,
): void {
  if (spec.ipam === 'External') {
    const why = `cannot be chosen here: ${givenBySite(metadata.name)}; settle it there for the machine's MAC`;
    throw invalidObject(request.resource, name, [invalid(field, ip, why)]);
  }
  if (isUsable(addressPlan(spec), parseIPv4(ip))) return;
  const why = `must be an address of ${spec.cidr} that is neither excluded nor the gateway's`;
  throw invalidObject(request.resource, name, [invalid(field, ip, why)]);
}
