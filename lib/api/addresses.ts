/** Which addresses of a Subnet machines may have. Shared by those who count them and those who give them out. */
import type { SubnetSpec } from './generated/subnet.ts';
import { type AddressRange, contains, formatIPv4, type Network, parseCidr, parseIPv4, parseRange } from './ipv4.ts';

export interface AddressPlan {
  readonly network: Network;
  /** undefined: the subnet has none. */
  readonly gateway: number | undefined;
  /** Sorted, joined, inside the network; network address, broadcast address and gateway are among them. */
  readonly excluded: readonly AddressRange[];
  /** How many addresses are not excluded. */
  readonly usable: number;
}

type AddressFields = Pick<SubnetSpec, 'cidr' | 'gateway' | 'excludeIPs'>;

/** Throws RangeError with a sentence that names the field when the spec cannot be meant. */
export function addressPlan(spec: AddressFields): AddressPlan {
  const network = parseCidr(spec.cidr);
  if (network.prefix < 8 || network.prefix > 30)
    throw new RangeError(`spec.cidr: ${spec.cidr} has a prefix outside of /8 to /30`);
  const gateway = gatewayOf(spec, network);
  const asked = (spec.excludeIPs ?? []).map((text) => insideOf(network, text));
  const ends = [network.first, network.last, ...(gateway === undefined ? [] : [gateway])];
  const excluded = joined([...asked, ...ends.map((address) => ({ first: address, last: address }))]);
  const size = network.last - network.first + 1;
  const usable = size - excluded.reduce((sum, range) => sum + range.last - range.first + 1, 0);
  return { network, gateway, excluded, usable };
}

function gatewayOf(spec: AddressFields, network: Network): number | undefined {
  if (spec.gateway === 'none') return undefined;
  if (!spec.gateway) return network.first + 1;
  const gateway = parseIPv4(spec.gateway);
  if (gateway <= network.first || gateway >= network.last)
    throw new RangeError(`spec.gateway: ${spec.gateway} is not a host address inside ${spec.cidr}`);
  return gateway;
}

function insideOf(network: Network, text: string): AddressRange {
  const range = parseRange(text);
  if (!contains(network, range.first) || !contains(network, range.last))
    throw new RangeError(`spec.excludeIPs: ${text} is not inside ${formatIPv4(network.first)}/${network.prefix}`);
  return range;
}

function joined(ranges: readonly AddressRange[]): readonly AddressRange[] {
  const result: AddressRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const previous = result.at(-1);
    if (previous && range.first <= previous.last + 1)
      result[result.length - 1] = { first: previous.first, last: Math.max(previous.last, range.last) };
    else result.push(range);
  }
  return result;
}

/** True if a machine may have this address at all. */
export function isUsable(plan: AddressPlan, address: number): boolean {
  return contains(plan.network, address) && !plan.excluded.some((range) => contains(range, address));
}

/** Why nobody here can give a machine an address there, in words that go on after a colon. */
export function givenBySite(subnet: string): string {
  return `Subnet "${subnet}" has ipam: External, where the site's DHCP gives the addresses`;
}

export interface TakenBook {
  has(address: string): boolean;
  /** True if every address of this block is taken: then none of them need be looked at. Left out: it is not known. */
  isFull?(block: string): boolean;
}

export const blockSize = 256;

/** What the addresses that differ in the last number only have in common: `10.0.7`. */
export function blockOf(address: string): string {
  return address.slice(0, address.lastIndexOf('.'));
}

/** Usable addresses from the lowest on, without those that are taken. Lazy: a /8 has sixteen million. */
export function* freeAddresses(plan: AddressPlan, taken: TakenBook): Generator<string> {
  let excluded = 0;
  for (let address = plan.network.first; address <= plan.network.last; address++) {
    while (plan.excluded[excluded] && plan.excluded[excluded]!.last < address) excluded++;
    const range = plan.excluded[excluded];
    if (range && contains(range, address)) {
      address = range.last;
      continue;
    }
    const text = formatIPv4(address);
    if (address % blockSize === 0 && taken.isFull?.(blockOf(text))) address += blockSize - 1;
    else if (!taken.has(text)) yield text;
  }
}
