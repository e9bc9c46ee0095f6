/** A last look at what goes into files and input of other programs: their separators are commas, spaces and line ends. */
import { isIPv4 } from 'node:net';
import type { MachineNetwork, NetworkSegment } from '#lib/api/launch.ts';
import { peersMax } from '#lib/api/messages.ts';
import { isOurs, vniMax } from './names.ts';

const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const labelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
const domainPattern = /^$|^[a-z0-9-]+(\.[a-z0-9-]+)*$/i;
/** dnsmasq reads a line of 1024 bytes, and takes what is beyond for the next one. */
const domainMax = 253;
const serversMax = 8;

/** Throws a TypeError that names the value. The API refuses such values long before; this host does not depend on it. */
export function requireSafe(hostname: string, network: MachineNetwork): void {
  const { vni, ip, prefix, gateway, egress, segment, external, mac, mtu, dns, domain, leaseSeconds } = network;
  const checks: readonly (readonly [string, unknown, boolean])[] = [
    // It becomes the name of a directory.
    ['vni', vni, isBetween(vni, 1, vniMax)],
    ['hostname', hostname, labelPattern.test(hostname)],
    ['external', external, external === undefined || (external === true && isExternal(network))],
    ['ip', ip, external === true || isIPv4(ip)],
    ['prefix', prefix, isBetween(prefix, 1, 30)],
    ['gateway', gateway, isIPv4(gateway) || (gateway === '' && egress === undefined)],
    ['egress', egress, egress === undefined || egress === 'NAT'],
    ['mac', mac, macPattern.test(mac)],
    ['mtu', mtu, isBetween(mtu, 576, 9216)],
    ['dns', dns, dns.length <= serversMax && dns.every((server) => isIPv4(server))],
    ['domain', domain, domain.length <= domainMax && domainPattern.test(domain)],
    ['segment', segment, segment === undefined || isSegment(segment)],
    // dnsmasq's own least is two minutes.
    ['leaseSeconds', leaseSeconds, isBetween(leaseSeconds, 120, 0x7fffffff)],
  ];
  for (const [name, value, right] of checks) {
    if (!right)
      throw new TypeError(`Cannot use ${name} ${JSON.stringify(value)} of subnet ${network.subnet} on this host`);
  }
}

/** Throws a TypeError that names the value. */
export function requirePeers(subnet: string, peers: readonly string[]): void {
  const wrong = peers.find((peer) => !isIPv4(peer));
  if (wrong !== undefined)
    throw new TypeError(`Cannot use ${JSON.stringify(wrong)} as another host of subnet ${subnet}`);
  if (peers.length > peersMax)
    throw new TypeError(`Cannot connect subnet ${subnet} to ${peers.length} other hosts: ${peersMax} at most`);
}

/** Nothing in it that this host would have to hold the guest to, or to serve it. */
function isExternal({ ip, gateway, egress, segment, probe, dns, domain }: MachineNetwork): boolean {
  const isSaid = ip !== '' || gateway !== '' || dns.length > 0 || domain !== '';
  return segment !== undefined && egress === undefined && !probe && !isSaid;
}

/** A name as the kernel takes it, and none of ours. */
function isSegment(segment: NetworkSegment): boolean {
  const name = 'bridge' in segment ? segment.bridge : segment.nic;
  const isName = typeof name === 'string' && /^[a-z0-9_][a-z0-9_.-]{0,14}$/i.test(name) && !isOurs(name);
  return isName && ('bridge' in segment || isBetween(segment.vlan, 1, 4094));
}

function isBetween(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
