/** Names of what the executor makes in the kernel: from numbers and hashes only, at most 15 characters, never from what users typed. */
import { createHash } from 'node:crypto';

export const vniMax = 2 ** 24 - 1;

/** All bridges of subnets begin with this. */
export const bridgePrefix = 'cfb';

/** One bridge per subnet and host. */
export function bridgeName(vni: number): string {
  return `${bridgePrefix}${hex(vni)}`;
}

/** All ports to other hosts begin with this. */
export const tunnelPrefix = 'cfx';

/** The bridge's port to the other hosts of the subnet. */
export function tunnelName(vni: number): string {
  return `${tunnelPrefix}${hex(vni)}`;
}

/** All ends in bridges of the site begin with this. */
export const plugPrefix = 'cfp';

/** The end of the way to a bridge of the site that is in that bridge. Its other end is `tunnelName`: to the subnet it is one. */
export function plugName(vni: number): string {
  return `${plugPrefix}${hex(vni)}`;
}

/** All ports to routers begin with this. */
export const gatePrefix = 'cfg';

/** The bridge's port to the router of the subnet, which has its gateway's address. */
export function gateName(vni: number): string {
  return `${gatePrefix}${hex(vni)}`;
}

/** All ways from routers to the host begin with this. */
export const uplinkPrefix = 'cfu';

/** The host's end of the way from the router of a subnet. */
export function uplinkName(vni: number): string {
  return `${uplinkPrefix}${hex(vni)}`;
}

function hex(vni: number): string {
  if (!Number.isInteger(vni) || vni < 1 || vni > vniMax)
    throw new RangeError(`Cannot make a name of the VXLAN id ${vni}`);
  return vni.toString(16);
}

/** All our taps begin with this: rules for all guests at once match it. */
export const tapPrefix = 'cft';

/** What is named so we have made. */
export function isOurs(name: string): boolean {
  return [bridgePrefix, tunnelPrefix, plugPrefix, gatePrefix, uplinkPrefix, tapPrefix].some((each) =>
    name.startsWith(each),
  );
}

/** The tap of one network of a machine. Stable: the same after every restart and on every host. */
export function tapName(uid: string, vni: number): string {
  const hash = createHash('sha256').update(`${uid}/${vni}`).digest('hex');
  return `${tapPrefix}${hash.slice(0, 10)}`;
}
