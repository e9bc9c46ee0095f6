/**
 * Arithmetic on Mesos resources. A bag maps the identity of a resource (name, type, reservations) to how much of it there is.
 * Scalars are counted in whole thousandths, as Mesos does (src/common/values.cpp): 0.1 + 0.2 is 0.3 here. Bags are never changed
 * in place, so that offers, filters and books may share them.
 */
import type { Attribute, Quantities, Resource } from '#mesos/types.ts';

type Range = readonly [begin: number, end: number];
export type Reservation = NonNullable<Resource['reservations']>[number];

interface Amount {
  /** The resource without quantity and without allocation. */
  readonly kind: Pick<Resource, 'name' | 'type' | 'reservations' | 'disk'>;
  readonly milli: number;
  readonly ranges: readonly Range[];
  readonly items: readonly string[];
}

export type Bag = ReadonlyMap<string, Amount>;
export const emptyBag: Bag = new Map();

/**
 * How resources are written: to frameworks with RESERVATION_REFINEMENT as stacks (none of these options), to older ones with a role in
 * place of the stack, by the operator API with both.
 */
export interface RenderOptions {
  readonly allocatedTo?: string;
  readonly withRole?: boolean;
  readonly withoutStack?: boolean;
}

/** Lowest first, in whichever of the three formats the resource is written; undefined: unreserved. */
export function reservationsOf({ reservations, reservation, role }: Resource): Resource['reservations'] {
  if (reservations && reservations.length > 0) return reservations.map(inOrder);
  if (role === undefined || role === '*') return undefined;
  return [reservation ? inOrder({ ...reservation, type: 'DYNAMIC', role }) : { type: 'STATIC', role }];
}

/** Fields always in the same order: the text of a reservation is a part of its resource's identity. */
function inOrder({ type, role, principal, labels }: Reservation): Reservation {
  return { type, role, ...(principal !== undefined && { principal }), ...(labels && { labels }) };
}

function mergeRanges(ranges: readonly Range[]): Range[] {
  const merged: [number, number][] = [];
  for (const [begin, end] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && begin <= last[1] + 1) last[1] = Math.max(last[1], end);
    else merged.push([begin, end]);
  }
  return merged;
}

function cutRanges(ranges: readonly Range[], cuts: readonly Range[]): Range[] {
  let left = [...ranges];
  for (const [begin, end] of cuts) {
    left = left.flatMap(([b, e]): Range[] => {
      if (end < b || begin > e) return [[b, e]];
      const pieces: Range[] = [];
      if (b < begin) pieces.push([b, begin - 1]);
      if (end < e) pieces.push([end + 1, e]);
      return pieces;
    });
  }
  return left;
}

function amountOf(resource: Resource): Amount {
  const reservations = reservationsOf(resource);
  return {
    kind: {
      name: resource.name,
      type: resource.type,
      ...(reservations && { reservations }),
      ...(resource.disk && { disk: resource.disk }),
    },
    milli: Math.round((resource.scalar?.value ?? 0) * 1000),
    ranges: mergeRanges((resource.ranges?.range ?? []).map((r): Range => [r.begin, r.end])),
    items: resource.set?.item ?? [],
  };
}

/** Of a volume only its id counts, as in Mesos: who made it and where it is mounted do not. */
function keyOf(amount: Amount): string {
  const { name, type, reservations, disk } = amount.kind;
  const reserved = reservations ? `|${JSON.stringify(reservations)}` : '';
  return `${name}|${type}${reserved}${disk?.persistence ? `|${disk.persistence.id}` : ''}`;
}

function isZero(amount: Amount): boolean {
  return amount.milli === 0 && amount.ranges.length === 0 && amount.items.length === 0;
}

/** The bag of a list of resources, whichever of Mesos' formats it is written in; allocation_info is left aside. */
export function bagOf(resources: readonly Resource[] = []): Bag {
  return sum(
    resources.map((resource) => {
      const amount = amountOf(resource);
      return isZero(amount) ? emptyBag : new Map([[keyOf(amount), amount]]);
    }),
  );
}

export function add(a: Bag, b: Bag): Bag {
  if (a.size === 0) return b;
  if (b.size === 0) return a;
  const result = new Map(a);
  for (const [key, more] of b) {
    const have = result.get(key);
    result.set(
      key,
      have === undefined
        ? more
        : {
            kind: have.kind,
            milli: have.milli + more.milli,
            ranges: mergeRanges([...have.ranges, ...more.ranges]),
            items: [...new Set([...have.items, ...more.items])],
          },
    );
  }
  return result;
}

export function sum(bags: readonly Bag[]): Bag {
  return bags.reduce(add, emptyBag);
}

/** What is left of `a` without `b`. Scalars may go below zero: an agent that came back smaller is over-committed, not free. */
export function subtract(a: Bag, b: Bag): Bag {
  if (b.size === 0) return a;
  let result = new Map(a);
  for (const [key, less] of b) {
    const have = result.get(key) ?? { kind: less.kind, milli: 0, ranges: [], items: [] };
    const left: Amount = {
      kind: have.kind,
      milli: have.milli - less.milli,
      ranges: cutRanges(have.ranges, less.ranges),
      items: have.items.filter((item) => !less.items.includes(item)),
    };
    if (!isZero(left)) result.set(key, left);
    else if (result.has(key)) result = withoutKey(result, key);
  }
  return result;
}

/** The last takes the place of what is removed: that is the order in which Mesos lists resources in its messages. */
function withoutKey(bag: Map<string, Amount>, key: string): Map<string, Amount> {
  const entries = [...bag];
  const last = entries.pop()!;
  if (last[0] !== key) entries[entries.findIndex(([other]) => other === key)] = last;
  return new Map(entries);
}

/** True if all of `b` is in `a`. */
export function contains(a: Bag, b: Bag): boolean {
  for (const [key, want] of b) {
    const have = a.get(key);
    if (have === undefined || have.milli < want.milli) return false;
    if (cutRanges(want.ranges, have.ranges).length > 0) return false;
    if (want.items.some((item) => !have.items.includes(item))) return false;
  }
  return true;
}

/** The part of a bag that a role may be offered: what is unreserved or reserved for the role or an ancestor of it. */
export function availableTo(bag: Bag, role: string): Bag {
  const usable = [...bag].filter(([, amount]) => {
    if (amount.milli < 0) return false;
    const owner = amount.kind.reservations?.at(-1)?.role;
    return owner === undefined || owner === role || role.startsWith(`${owner}/`);
  });
  return usable.length === bag.size ? bag : new Map(usable);
}

/** All of one scalar in a bag, in thousandths. */
export function milliOf(bag: Bag, name: string): number {
  let total = 0;
  for (const amount of bag.values()) if (amount.kind.name === name) total += amount.milli;
  return total;
}

/** Scalars by name, in thousandths. */
export function scalarsOf(bag: Bag): Map<string, number> {
  const totals = new Map<string, number>();
  for (const { kind, milli } of bag.values()) {
    if (kind.type === 'SCALAR') totals.set(kind.name, (totals.get(kind.name) ?? 0) + milli);
  }
  return totals;
}

const worthOffering: readonly Quantities[] = [
  { quantities: { cpus: { value: 0.01 } } },
  { quantities: { mem: { value: 32 } } },
];

/** Whether a bag is worth an offer: it holds one of these, which are Mesos' unless a framework has its own. Empty: anything is. */
export function isAllocatable(bag: Bag, minimum: readonly Quantities[] = worthOffering): boolean {
  if (bag.size === 0) return false;
  const holds = ({ quantities = {} }: Quantities) =>
    Object.entries(quantities).every(([name, { value }]) => milliOf(bag, name) >= Math.round(value * 1000));
  return minimum.length === 0 || minimum.some(holds);
}

/** A bag as those see it who know of one reservation at most. */
export function withoutRefined(bag: Bag): Bag {
  const plain = [...bag].filter(([, { kind }]) => (kind.reservations?.length ?? 0) < 2);
  return plain.length === bag.size ? bag : new Map(plain);
}

function rendered(amount: Amount, options: RenderOptions): Resource {
  const { name, type, reservations, disk } = amount.kind;
  const range = amount.ranges.map(([begin, end]) => ({ begin, end }));
  return {
    name,
    type,
    ...(type === 'SCALAR' && { scalar: { value: amount.milli / 1000 } }),
    ...(type === 'RANGES' && { ranges: { range } }),
    ...(type === 'SET' && { set: { item: amount.items } }),
    ...(options.withRole && { role: reservations?.at(-1)?.role ?? '*' }),
    ...(options.allocatedTo !== undefined && { allocation_info: { role: options.allocatedTo } }),
    ...(reservations && !options.withoutStack && { reservations }),
    ...(options.withRole && dynamicOf(reservations)),
    ...(disk && { disk }),
  };
}

/** With one dynamic reservation the "endpoint" format repeats it in the older way. */
function dynamicOf(reservations: Resource['reservations']): Pick<Resource, 'reservation'> {
  const [only, ...more] = reservations ?? [];
  if (only?.type !== 'DYNAMIC' || more.length > 0) return {};
  const { type: _, role: __, ...reservation } = only;
  return { reservation };
}

/** A bag as Mesos lists it: ranges before scalars. */
export function render(bag: Bag, options: RenderOptions = {}): Resource[] {
  const all = [...bag.values()].map((amount) => rendered(amount, options));
  return [...all.filter((r) => r.type !== 'SCALAR'), ...all.filter((r) => r.type === 'SCALAR')];
}

function reservationText({ type, role, principal, labels }: Reservation): string {
  const words = labels?.labels.map(({ key, value }) => (value === undefined ? key : `${key}: ${value}`));
  return `(${[type, role, ...(principal === undefined ? [] : [principal]), ...(words ? [`{${words.join(', ')}}`] : [])].join(',')})`;
}

/**
 * A bag in the words of Mesos' messages, such as `cpus(allocated: vm):4; ports(allocated: vm):[31000-32000]`; without a role as it is
 * when nobody has it: `disk(reservations: [(DYNAMIC,vm)])[volume-1:data]:256`.
 */
export function describe(bag: Bag, role?: string): string {
  const allocated = role === undefined ? '' : `(allocated: ${role})`;
  return (role === undefined ? [...bag.values()].map((amount) => rendered(amount, {})) : render(bag))
    .map((r) => {
      const ranges = r.ranges?.range.map((x) => `${x.begin}-${x.end}`).join(', ');
      const quantity = r.scalar?.value ?? (ranges === undefined ? `{${r.set?.item.join(', ')}}` : `[${ranges}]`);
      const stack = r.reservations ? `(reservations: [${r.reservations.map(reservationText).join(',')}])` : '';
      const volume = r.disk?.persistence ? `[${r.disk.persistence.id}:${r.disk.volume?.container_path ?? ''}]` : '';
      return `${r.name}${allocated}${stack}${volume}:${quantity}`;
    })
    .join('; ');
}

const quantityPattern = /^\s*([^:()]+)(?:\(([^)]*)\))?:\s*(.+?)\s*$/;

/**
 * Resources from the agent's flag: `cpus:48;mem:98304;ports:[31000-32000]`, with `name(role):` for a static reservation.
 * Throws RangeError naming the part that cannot be read.
 */
export function parseResources(text: string): Resource[] {
  return text
    .split(';')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const [, name, role, quantity] = quantityPattern.exec(part) ?? [];
      const resource = name === undefined ? undefined : quantityOf(quantity!);
      if (resource === undefined)
        throw new RangeError(`Cannot read resource "${part}": want name:number or name:[begin-end]`);
      return {
        name: name!.trim(),
        ...resource,
        ...(role !== undefined && role !== '*' && { reservations: [{ type: 'STATIC' as const, role }] }),
      };
    });
}

function quantityOf(text: string): Pick<Resource, 'type' | 'scalar' | 'ranges'> | undefined {
  const scalar = Number(text);
  if (text !== '' && Number.isFinite(scalar)) return { type: 'SCALAR', scalar: { value: scalar } };
  const inner = /^\[(.+)\]$/.exec(text)?.[1];
  const range = inner?.split(',').map((piece) => {
    const [begin, end] = piece.split('-').map(Number);
    return { begin: begin ?? Number.NaN, end: end ?? Number.NaN };
  });
  if (!range?.every((r) => Number.isInteger(r.begin) && Number.isInteger(r.end) && r.begin <= r.end)) return undefined;
  return { type: 'RANGES', ranges: { range } };
}

/** Attributes from the agent's flag: `rack:r1;slots:4`. Numbers become SCALAR, `[a-b]` RANGES, anything else TEXT. */
export function parseAttributes(text: string): Attribute[] {
  return text
    .split(';')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const colon = part.indexOf(':');
      if (colon < 1) throw new RangeError(`Cannot read attribute "${part}": want name:value`);
      const name = part.slice(0, colon).trim();
      const value = part.slice(colon + 1).trim();
      return { name, ...(quantityOf(value) ?? { type: 'TEXT', text: { value } }) };
    });
}
