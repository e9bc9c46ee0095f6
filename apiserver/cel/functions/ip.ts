/** Kubernetes' libraries of addresses and networks. IPv4 inside of IPv6 and zones are refused, as there. */
import { isIP, isIPv6 } from 'node:net';
import { EvaluationError } from '../errors.ts';
import { Opaque } from '../values.ts';
import { type Overload, overload } from './overload.ts';

class Ip extends Opaque {
  readonly type = 'IP';
  readonly bits: bigint;
  readonly family: 4 | 6;

  constructor(bits: bigint, family: 4 | 6) {
    super();
    this.bits = bits;
    this.family = family;
  }

  get key(): string {
    return this.family === 4 ? showIpv4(this.bits) : showIpv6(this.bits);
  }
}

class Cidr extends Opaque {
  readonly type = 'CIDR';
  readonly ip: Ip;
  readonly length: number;

  constructor(ip: Ip, length: number) {
    super();
    this.ip = ip;
    this.length = length;
  }

  get key(): string {
    return `${this.ip.key}/${this.length}`;
  }

  /** The address with the bits of the host zero. */
  masked(bits: bigint = this.ip.bits): bigint {
    const host = BigInt((this.ip.family === 4 ? 32 : 128) - this.length);
    return (bits >> host) << host;
  }

  contains(ip: Ip): boolean {
    return ip.family === this.ip.family && this.masked(ip.bits) === this.masked();
  }
}

function readIp(text: string): Ip | undefined {
  if (text.length > 45 || text.includes('%')) return undefined;
  const family = isIP(text);
  if (family === 4) return new Ip(readIpv4(text), 4);
  return family === 6 && !text.includes('.') ? new Ip(readIpv6(text), 6) : undefined;
}

function readIpv4(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function readIpv6(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

function showIpv4(bits: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((bits >> shift) & 255n)).join('.');
}

/** RFC 5952: the longest run of zeros is left out. */
function showIpv6(bits: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bits >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  const runs = [
    ...groups
      .map((group) => (group === '0' ? '0' : '-'))
      .join('')
      .matchAll(/0{2,}/g),
  ];
  const longest = runs.sort((a, b) => b[0].length - a[0].length || a.index - b.index)[0];
  if (!longest) return groups.join(':');
  const after = groups.slice(longest.index + longest[0].length);
  return `${groups.slice(0, longest.index).join(':')}::${after.join(':')}`;
}

function readCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const ip = match ? readIp(match[1]!) : undefined;
  if (!match || !ip || Number(match[2]) > (ip.family === 4 ? 32 : 128)) return undefined;
  return new Cidr(ip, Number(match[2]));
}

function ip(text: string): Ip {
  const read = readIp(text);
  if (!read) throw new EvaluationError(`IP Address "${text.slice(0, 64)}" parse error during conversion from string`);
  return read;
}

function cidr(text: string): Cidr {
  const read = readCidr(text);
  if (!read)
    throw new EvaluationError(`network address parse error during conversion from string: ${text.slice(0, 64)}`);
  return read;
}

function within(bits: bigint, network: string): boolean {
  return cidr(network).contains(new Ip(bits, isIPv6(network.split('/')[0]!) ? 6 : 4));
}

/** Of the family of the address, the networks that have a special meaning. */
function inAny({ bits, family }: Ip, ipv4: readonly string[], ipv6: readonly string[]): boolean {
  return (family === 4 ? ipv4 : ipv6).some((network) => within(bits, network));
}

const kinds: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
  isUnspecified: [['0.0.0.0/32'], ['::/128']],
  isLoopback: [['127.0.0.0/8'], ['::1/128']],
  isLinkLocalMulticast: [['224.0.0.0/24'], ['ff02::/16']],
  isLinkLocalUnicast: [['169.254.0.0/16'], ['fe80::/10']],
};

const nowhere: readonly [readonly string[], readonly string[]] = [
  ['0.0.0.0/32', '127.0.0.0/8', '224.0.0.0/4', '169.254.0.0/16', '255.255.255.255/32'],
  ['::/128', '::1/128', 'ff00::/8', 'fe80::/10'],
];

export const addresses: readonly Overload[] = [
  overload('ip(string): IP', (_, text: string) => ip(text)),
  overload('isIP(string): bool', (_, text: string) => readIp(text) !== undefined),
  overload('ip.isCanonical(string): bool', (_, text: string) => ip(text).key === text),
  overload('string(IP): string', (_, address: Ip) => address.key),
  overload('(IP).family(): int', (_, address: Ip) => BigInt(address.family)),
  overload('(IP).isGlobalUnicast(): bool', (_, address: Ip) => !inAny(address, ...nowhere)),
  ...Object.entries(kinds).map(([name, networks]) =>
    overload(`(IP).${name}(): bool`, (_, address: Ip) => inAny(address, ...networks)),
  ),
  overload('cidr(string): CIDR', (_, text: string) => cidr(text)),
  overload('isCIDR(string): bool', (_, text: string) => readCidr(text) !== undefined),
  overload('string(CIDR): string', (_, network: Cidr) => network.key),
  overload('(CIDR).containsIP(IP): bool', (_, network: Cidr, address: Ip) => network.contains(address)),
  overload('(CIDR).containsIP(string): bool', (_, network: Cidr, text: string) => network.contains(ip(text))),
  overload('(CIDR).containsCIDR(CIDR): bool', (_, network: Cidr, other: Cidr) => containsCidr(network, other)),
  overload('(CIDR).containsCIDR(string): bool', (_, network: Cidr, text: string) => containsCidr(network, cidr(text))),
  overload('(CIDR).ip(): IP', (_, network: Cidr) => network.ip),
  overload(
    '(CIDR).masked(): CIDR',
    (_, network: Cidr) => new Cidr(new Ip(network.masked(), network.ip.family), network.length),
  ),
  overload('(CIDR).prefixLength(): int', (_, network: Cidr) => BigInt(network.length)),
];

function containsCidr(network: Cidr, other: Cidr): boolean {
  return other.length >= network.length && network.contains(other.ip);
}
