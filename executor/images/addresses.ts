/**
 * To which addresses an import may connect. A source is anybody's word: without this it would read what only the host can reach, such as
 * a cloud's metadata, the Mesos agent, the printers of the site.
 */
import { BlockList, isIP } from 'node:net';

/** What is not the public internet, after IANA's registries of special addresses. */
const refused4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
  // A public address that in Azure is the host's own server of metadata.
  '168.63.129.16/32',
];
/** Only these are public; the mapped, compatible and translated forms of IPv4 addresses lie outside. */
const public6 = ['2000::/3'];
const refused6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

export type AddressRule = (address: string) => boolean;

/** `allowed`: ranges (CIDR) that are permitted though they are not public. Throws Error naming the one that is no range. */
export function addressRule(allowed: readonly string[]): AddressRule {
  const [permitted, bad, good6] = [allowed, [...refused4, ...refused6], public6].map(listOf);
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
