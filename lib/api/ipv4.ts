/** IPv4 addresses as unsigned 32-bit numbers, and the networks they are in. Nothing here knows of kinds. */

/** A network: its own address, its broadcast address and the length of the prefix. */
export interface Network {
  readonly first: number;
  readonly last: number;
  readonly prefix: number;
}

/** An inclusive span of addresses. */
export interface AddressRange {
  readonly first: number;
  readonly last: number;
}

/** The number of a dotted address. Throws RangeError for anything else, leading zeros included: some tools read those as octal. */
export function parseIPv4(text: string): number {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    throw new RangeError(`Cannot read "${text}" as an IPv4 address: write four numbers from 0 to 255, as 10.66.10.14`);
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function formatIPv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** Reads 10.66.10.0/24. Throws RangeError for anything else, also when bits behind the prefix are set. */
export function parseCidr(text: string): Network {
  const [address, length, ...rest] = text.split('/');
  const prefix = Number(length);
  if (rest.length > 0 || !/^\d{1,2}$/.test(length ?? '') || prefix > 32)
    throw new RangeError(`Cannot read "${text}" as a network: write address/prefix, as 10.66.10.0/24`);
  const first = parseIPv4(address!);
  const size = 2 ** (32 - prefix);
  if (first % size !== 0)
    throw new RangeError(`"${text}" is not a network address: write ${formatIPv4(first - (first % size))}/${prefix}`);
  return { first, last: first + size - 1, prefix };
}

/** Reads one address or a..b. Throws RangeError for anything else, also when b is below a. */
export function parseRange(text: string): AddressRange {
  const [low, high, ...rest] = text.split('..');
  const first = parseIPv4(low!);
  const last = high === undefined ? first : parseIPv4(high);
  if (rest.length > 0 || last < first)
    throw new RangeError(`Cannot read "${text}" as a range: write a..b with the lower address first`);
  return { first, last };
}

export function contains(range: AddressRange, address: number): boolean {
  return address >= range.first && address <= range.last;
}
