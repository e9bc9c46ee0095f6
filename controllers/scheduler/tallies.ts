/**
 * How many of the machines that rules count are where: per namespace, whom and key, a number for each value. Counted when a rule first asks
 * and kept up to date from then on; can be thrown away at any time, since the ledger knows every machine and its host.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type Aversion,
  type CountedRule,
  type HostFacts,
  hostValue,
  type Rules,
  type Whom,
} from '#lib/api/placement-rules.ts';
import { matchesSelector } from '#lib/api/selectors.ts';

/** A machine as rules of other machines see it. */
export interface Member {
  readonly namespace: string;
  /** What it belongs to, for rules that count their own kind. */
  readonly group: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rules: Rules;
}

/** Of all machines of the cluster, not only of its namespace. */
export const groupOf = ({ namespace, group }: Member) => `${namespace}/${group}`;

export function sameMember(a: Member | undefined, b: Member | undefined): boolean {
  if (a === b) return true;
  if (!a || !b || a.group !== b.group || a.namespace !== b.namespace) return false;
  return a.rules.text === b.rules.text && isDeepStrictEqual(a.labels, b.labels);
}

export interface Seat {
  readonly member: Member;
  readonly host: HostFacts;
}

export type Counts = ReadonlyMap<string, number>;

interface Tally {
  readonly namespace: string;
  readonly key: string;
  readonly includes: (member: Member) => boolean;
  readonly counts: Map<string, number>;
}

/** Tallies kept at once; the one that was asked for longest ago goes first. */
const maxTallies = 10_000;

export class Tallies {
  readonly #seats: () => Iterable<Seat>;
  readonly #tallies = new Map<string, Tally>();
  readonly #byNamespace = new Map<string, Set<Tally>>();
  /** Namespace -> text -> an aversion of machines that have a place, and how many have it. */
  readonly #aversions = new Map<string, Map<string, { readonly aversion: Aversion; holders: number }>>();

  constructor(seats: () => Iterable<Seat>) {
    this.#seats = seats;
  }

  /** Machines that `whom` means when `member` says it, by the value of their hosts. Values without any are not in it. */
  of(member: Member, whom: Whom, key: string): Counts {
    const { namespace } = member;
    const id = JSON.stringify([namespace, key, whom.type === 'Group' ? member.group : whom]);
    // One that is asked for again moves to the end.
    const tally = this.#tallies.get(id) ?? this.#count({ namespace, key, includes: inclusion(member, whom, key) });
    this.#tallies.delete(id);
    this.#tallies.set(id, tally);
    if (this.#tallies.size > maxTallies) this.#drop(this.#tallies.keys().next().value!);
    return tally.counts;
  }

  /** The rules of others that keep this machine away from them. */
  against({ namespace, labels }: Member): readonly CountedRule[] {
    return [...(this.#aversions.get(namespace)?.values() ?? [])].flatMap(({ aversion: { key, selector } }) =>
      matchesSelector(selector, labels) ? [{ type: 'Limit', key, below: 1, whom: { type: 'Averse', selector } }] : [],
    );
  }

  /** A machine takes a place, whether its host is known or not. */
  entered(member: Member): void {
    this.#hold(member, 1);
  }

  gone(member: Member): void {
    this.#hold(member, -1);
  }

  joined(seat: Seat): void {
    for (const tally of this.#byNamespace.get(seat.member.namespace) ?? []) add(tally, seat, 1);
  }

  left(seat: Seat): void {
    for (const tally of this.#byNamespace.get(seat.member.namespace) ?? []) add(tally, seat, -1);
  }

  /** Hosts have other labels, or hosts with machines came or went: all is to be counted anew. */
  clear(): void {
    this.#tallies.clear();
    this.#byNamespace.clear();
  }

  #hold({ namespace, rules }: Member, by: 1 | -1): void {
    if (rules.averse.length === 0) return;
    const held = this.#aversions.get(namespace) ?? new Map();
    this.#aversions.set(namespace, held);
    for (const aversion of rules.averse) {
      const text = JSON.stringify(aversion);
      const entry = held.get(text) ?? { aversion, holders: 0 };
      entry.holders += by;
      if (entry.holders > 0) held.set(text, entry);
      else held.delete(text);
    }
    if (held.size === 0) this.#aversions.delete(namespace);
  }

  #count(bare: Omit<Tally, 'counts'>): Tally {
    const tally = { ...bare, counts: new Map<string, number>() };
    for (const seat of this.#seats()) if (seat.member.namespace === bare.namespace) add(tally, seat, 1);
    const others = this.#byNamespace.get(bare.namespace);
    if (others) others.add(tally);
    else this.#byNamespace.set(bare.namespace, new Set([tally]));
    return tally;
  }

  #drop(id: string): void {
    const tally = this.#tallies.get(id)!;
    this.#tallies.delete(id);
    const others = this.#byNamespace.get(tally.namespace);
    others?.delete(tally);
    if (others?.size === 0) this.#byNamespace.delete(tally.namespace);
  }
}

function inclusion({ group }: Member, whom: Whom, key: string): (member: Member) => boolean {
  if (whom.type === 'Group') return (other) => other.group === group;
  if (whom.type === 'Matching') return (other) => matchesSelector(whom.selector, other.labels);
  const selector = JSON.stringify(whom.selector);
  return (other) => other.rules.averse.some((rule) => rule.key === key && JSON.stringify(rule.selector) === selector);
}

function add({ key, includes, counts }: Tally, { member, host }: Seat, by: 1 | -1): void {
  const value = hostValue(host, key);
  if (value === undefined || !includes(member)) return;
  const count = (counts.get(value) ?? 0) + by;
  if (count === 0) counts.delete(value);
  else counts.set(value, count);
}
