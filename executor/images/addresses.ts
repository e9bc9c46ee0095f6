/**
 * To which addresses an import may connect. A source is anybody's word: without this it would read what only the host can reach, such as
 * a cloud's metadata, the Mesos agent, the printers of the site.
 */
import { BlockList, isIP } from 'node:net';
import { notPublic4, notPublic6, public6 } from '../not-public.ts';

export type AddressRule = (address: string) => boolean;

/** `allowed`: ranges (CIDR) that are permitted though they are not public. Throws Error naming the one that is no range. */
export function addressRule(allowed: readonly string[]): AddressRule {
  const [permitted, bad, good6] = [allowed, [...notPublic4, ...notPublic6], public6].map(listOf);
  return (address) => {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (isIP(address) === 0) return false;
    if (permitted!.check(address, family)) return true;
    return !bad!.check(address, family) && (family === 'ipv4' || good6!.check(address, family));
  };
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [, address = '', length] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(range) ?? [];
    const family = isIP(address);
    if (family === 0 || Number(length) > (family === 4 ? 32 : 128))
      throw new Error(`"${range}" is not a range of addresses such as 10.20.0.0/16 or fd00::/8`);
    list.addSubnet(address, Number(length), family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
