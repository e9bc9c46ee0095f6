/** Kubernetes' libraries of addresses and networks. IPv4 inside of IPv6 and zones are refused, as there. */
import { isIP } from 'node:net';
import type { Budget } from '../budget.ts';
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

/** Reading an address takes as long as this many steps. */
const readingCost = 20;

function ip(budget: Budget, text: string): Ip {
  budget.charge(readingCost);
  const read = readIp(text);
  if (!read) throw new EvaluationError(`IP Address "${text.slice(0, 64)}" parse error during conversion from string`);
  return read;
}

function cidr(budget: Budget, text: string): Cidr {
  budget.charge(readingCost);
  const read = readCidr(text);
  if (!read)
    throw new EvaluationError(`network address parse error during conversion from string: ${text.slice(0, 64)}`);
  return read;
}

/** Networks of both families that have a special meaning. */
function networks(...texts: readonly string[]): readonly Cidr[] {
  return texts.map((text) => readCidr(text)!);
}

function isIn(address: Ip, special: readonly Cidr[]): boolean {
  return special.some((network) => network.contains(address));
}

const kinds: Readonly<Record<string, readonly Cidr[]>> = {
  isUnspecified: networks('0.0.0.0/32', '::/128'),
  isLoopback: networks('127.0.0.0/8', '::1/128'),
  isLinkLocalMulticast: networks('224.0.0.0/24', 'ff02::/16'),
  isLinkLocalUnicast: networks('169.254.0.0/16', 'fe80::/10'),
};

const notGlobal = [...Object.values(kinds).flat(), ...networks('224.0.0.0/4', '255.255.255.255/32', 'ff00::/8')];

export const addresses: readonly Overload[] = [
  overload('ip(string): IP', ip),
  overload('isIP(string): bool', (budget, text: string) => {
    budget.charge(readingCost);
    return readIp(text) !== undefined;
  }),
  overload('ip.isCanonical(string): bool', (budget, text: string) => ip(budget, text).key === text),
  overload('string(IP): string', (_, address: Ip) => address.key),
  overload('(IP).family(): int', (_, address: Ip) => BigInt(address.family)),
  overload('(IP).isGlobalUnicast(): bool', (_, address: Ip) => !isIn(address, notGlobal)),
  ...Object.entries(kinds).map(([name, special]) =>
    overload(`(IP).${name}(): bool`, (_, address: Ip) => isIn(address, special)),
  ),
  overload('cidr(string): CIDR', cidr),
  overload('isCIDR(string): bool', (budget, text: string) => {
    budget.charge(readingCost);
    return readCidr(text) !== undefined;
  }),
  overload('string(CIDR): string', (_, network: Cidr) => network.key),
  overload('(CIDR).containsIP(IP): bool', (_, network: Cidr, address: Ip) => network.contains(address)),
  overload('(CIDR).containsIP(string): bool', (budget, network: Cidr, text: string) =>
    network.contains(ip(budget, text)),
  ),
  overload('(CIDR).containsCIDR(CIDR): bool', (_, network: Cidr, other: Cidr) => containsCidr(network, other)),
  overload('(CIDR).containsCIDR(string): bool', (budget, network: Cidr, text: string) =>
    containsCidr(network, cidr(budget, text)),
  ),
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
