/**
 * The wire between the pretended hosts of one cluster: a bridge in a network namespace of its own. Neither it nor its addresses are to be
 * seen on the computer, so two clusters have the same ones and never meet.
 */
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { ip, locked, removeNamespace } from './namespace.ts';

export interface Wire {
  /** Name of the fabric's network namespace: unique on this computer. */
  readonly fabric: string;
  /** Of the host on the wire, from 1. */
  readonly number: number;
}

/** The largest that a Subnet may have, and what VXLAN adds. */
const mtu = 9216 + 50;
const hostsMax = 2 ** 16 - 3;
/** Of the wire's own namespace, for clients that are no host. */
const ownAddress = '198.18.255.254';
/** Arguments: fabric, network namespace of the host, its port in the fabric, mtu, MAC address, address of the
 * fabric. Safe to repeat after a kill between any two lines. */
const plugScript = `
[ -e "/run/netns/$1" ] || ip netns add "$1"
ip -n "$1" link show wire >/dev/null 2>&1 || ip -n "$1" link add wire type bridge
ip -n "$1" link set wire addrgenmode none up
ip -n "$1" addr replace "$6/16" dev wire
# The kernel takes its time with the namespace of the last boot: its port may still be there.
ip -n "$1" link del "$3" 2>/dev/null || :
ip -n "$1" link add "$3" mtu "$4" type veth peer name eth0 mtu "$4" address "$5" netns "$2"
ip -n "$1" link set "$3" addrgenmode none master wire up`;

/** Of the range for networks of laboratories (RFC 2544). */
export function wireAddress(number: number): string {
  if (!Number.isInteger(number) || number < 1 || number > hostsMax)
    throw new RangeError(`Cannot put a pretended host of number ${number} on a wire: 1 to ${hostsMax}`);
  return `198.18.${number >> 8}.${number & 255}`;
}

/** Of a host in the fabric. */
export const wirePort = (number: number): string => `h${number}`;

/** Joins the network namespace of a host to the wire, as `eth0` there, and makes the wire if it is the first. */
export async function plugIn(netns: string, { fabric, number }: Wire): Promise<void> {
  const address = wireAddress(number);
  // The same after every boot, as of a network card: the others remember it.
  const mac = `02:00:${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`;
  // Hosts of one cluster start at the same time.
  await locked(plugScript, fabric, netns, wirePort(number), String(mtu), mac, ownAddress);
  await ip('-n', netns, 'link', 'set', 'eth0', 'addrgenmode', 'none', 'up');
  await ip('-n', netns, 'addr', 'replace', `${address}/16`, 'dev', 'eth0');
}

/** After the last of its hosts. Nothing if there is none. */
export async function removeFabric(fabric: string, clock: Clock = systemClock): Promise<void> {
  await removeNamespace(fabric, clock);
}
