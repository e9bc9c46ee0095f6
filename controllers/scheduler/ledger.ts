/**
 * The model of all hosts of the cluster: what they have, who uses it, what Mesos offers of it now. Plans are made on it; offers are what
 * they are carried out with. A machine counts here from its stored intent to its proven end, whatever Mesos says of its task: a domain
 * may outlive its task, and its memory is not free.
 */

import { isDeepStrictEqual } from 'node:util';
import { sumMilli } from '#mesos/resources.ts';
import type { Offer } from '#mesos/types.ts';
import { least, minus, noRoom, plus, type Room } from './room.ts';
import { type Member, type Seat, sameMember, Tallies } from './tallies.ts';

/** Why nothing new may start on a host, whatever room it has. Ready: nothing stands against it. */
export type Readiness = 'Ready' | 'Cordoned' | 'NotInventoried' | 'Unreachable' | 'Suspect';

export interface LedgerHost {
  readonly hostname: string;
  readonly agentId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly total: Room;
  /**
   * Unproven: its executor was lost, so that nobody knows what runs there. With machines of ours that is NotInventoried; without, one
   * may start, and brings the executor back with it.
   */
  readonly readiness: Readiness | 'Unproven';
  /** Of domains that are not ours. */
  readonly foreign: Room;
}

interface Entry {
  host: LedgerHost;
  used: Room;
  readonly machines: Map<string, Room>;
  readonly offers: Map<string, Offer>;
  offered: Room;
  executorKnown: boolean;
}

interface Place {
  readonly hostname: string;
  readonly ask: Room;
  /** undefined: no rule of a machine counts it. */
  readonly member: Member | undefined;
}

/** What placement looks at. */
export interface HostView {
  readonly host: LedgerHost & { readonly readiness: Readiness };
  /** By the books: total less executor, machines and foreign domains. */
  readonly free: Room;
  /** The part of it that held offers allow to be used now; undefined: no offer is held. */
  readonly offered: Room | undefined;
  readonly machines: number;
}

export function roomOf(offer: Pick<Offer, 'resources'>): Room {
  return { cpu: sumMilli(offer.resources, 'cpus'), mem: sumMilli(offer.resources, 'mem') };
}

export class Ledger {
  readonly #executorShare: Room;
  readonly #executorId: string;
  readonly #entries = new Map<string, Entry>();
  readonly #hostOfAgent = new Map<string, string>();
  readonly #hostOfOffer = new Map<string, string>();
  /** uid -> host, also of hosts that are not known (yet). */
  readonly #places = new Map<string, Place>();
  readonly #changed: (hostname: string) => void;
  /** Namespace -> what its machines take, wherever they are. */
  readonly #usage = new Map<string, Room>();
  /** What of that rules of machines count. */
  readonly tallies = new Tallies(() => this.#seats());
  /** Grows with every change: what was computed at the same version still holds. */
  version = 0;

  constructor(executor: { readonly share: Room; readonly id: string }, changed: (hostname: string) => void = () => {}) {
    this.#executorShare = executor.share;
    this.#executorId = executor.id;
    this.#changed = changed;
  }

  setHost(host: LedgerHost): void {
    const old = this.#entries.get(host.hostname);
    if (old && JSON.stringify(old.host) === JSON.stringify(host)) return;
    if (old && old.host.agentId !== host.agentId) this.#forgetAgent(old);
    const entry = old ?? {
      host,
      used: noRoom,
      machines: new Map(),
      offers: new Map(),
      offered: noRoom,
      executorKnown: false,
    };
    if (entry.machines.size > 0 && !isDeepStrictEqual(entry.host.labels, host.labels)) this.tallies.clear();
    entry.host = host;
    this.#entries.set(host.hostname, entry);
    this.#hostOfAgent.set(host.agentId, host.hostname);
    if (!old)
      for (const [uid, place] of this.#places) if (place.hostname === host.hostname) this.#put(entry, uid, place);
    this.#recount(entry);
  }

  removeHost(hostname: string): void {
    const entry = this.#entries.get(hostname);
    if (!entry) return;
    this.#forgetAgent(entry);
    this.#entries.delete(hostname);
    if (entry.machines.size > 0) this.tallies.clear();
    this.#touch(hostname);
  }

  /** Hosts. */
  get size(): number {
    return this.#entries.size;
  }

  hostOfAgent(agentId: string): string | undefined {
    return this.#hostOfAgent.get(agentId);
  }

  /** The machine with this uid takes `ask` on that host, until released; rules of others see it as `member`. */
  occupy(uid: string, hostname: string, ask: Room, member?: Member): void {
    const old = this.#places.get(uid);
    const same = old?.hostname === hostname && old.ask.cpu === ask.cpu && old.ask.mem === ask.mem;
    if (same && sameMember(old.member, member)) return;
    if (old) this.release(uid);
    const place = { hostname, ask, member };
    this.#places.set(uid, place);
    if (member) this.#enter(member, ask);
    const entry = this.#entries.get(hostname);
    if (!entry) return;
    this.#put(entry, uid, place);
    this.#touch(hostname);
  }

  release(uid: string): void {
    const place = this.#places.get(uid);
    if (!place) return;
    this.#places.delete(uid);
    const { hostname, ask, member } = place;
    if (member) this.#leave(member, ask);
    const entry = this.#entries.get(hostname);
    if (!entry?.machines.delete(uid)) return;
    entry.used = minus(entry.used, ask);
    if (member) this.tallies.left({ member, host: entry.host });
    this.#touch(hostname);
  }

  /** What the machines of a namespace take. */
  usageOf(namespace: string): Room {
    return this.#usage.get(namespace) ?? noRoom;
  }

  /** All that the hosts have, whatever stands against them now. */
  total(): Room {
    return [...this.#entries.values()].map(({ host }) => host.total).reduce(plus, noRoom);
  }

  /** False if the host of the offer is not known (yet): such an offer is to be declined. */
  addOffer(offer: Offer): boolean {
    const entry = this.#ofAgent(offer.agent_id.value);
    if (!entry) return false;
    entry.offers.set(offer.id.value, offer);
    this.#hostOfOffer.set(offer.id.value, entry.host.hostname);
    entry.executorKnown = (offer.executor_ids ?? []).some(({ value }) => value === this.#executorId);
    this.#recount(entry);
    return true;
  }

  removeOffer(offerId: string): void {
    const entry = this.#entries.get(this.#hostOfOffer.get(offerId) ?? '');
    this.#hostOfOffer.delete(offerId);
    if (entry?.offers.delete(offerId)) this.#recount(entry);
  }

  /** Takes all held offers of a host, to be accepted together. */
  takeOffers(hostname: string): readonly Offer[] {
    const entry = this.#entries.get(hostname);
    if (!entry || entry.offers.size === 0) return [];
    const offers = [...entry.offers.values()];
    this.#dropOffers(entry);
    this.#recount(entry);
    return offers;
  }

  /** A session has ended: Mesos has taken every offer back. */
  clearOffers(): void {
    for (const entry of this.#entries.values()) {
      if (entry.offers.size === 0) continue;
      this.#dropOffers(entry);
      this.#recount(entry);
    }
  }

  offers(): readonly Offer[] {
    return [...this.#entries.values()].flatMap((entry) => [...entry.offers.values()]);
  }

  /** True if Mesos says that our executor runs there: then its share is already taken. */
  executorKnown(hostname: string): boolean {
    return this.#entries.get(hostname)?.executorKnown ?? false;
  }

  /** What held offers allow to be launched there, whatever the books say: for machines that the books already count there. */
  offeredOn(hostname: string): Room | undefined {
    const entry = this.#entries.get(hostname);
    return entry && entry.offers.size > 0 ? this.#usable(entry) : undefined;
  }

  view(hostname: string): HostView | undefined {
    const entry = this.#entries.get(hostname);
    return entry && this.#view(entry);
  }

  views(): readonly HostView[] {
    return [...this.#entries.values()].map((entry) => this.#view(entry));
  }

  /** uids of machines with an unproven attempt there. */
  machinesOn(hostname: string): readonly string[] {
    return [...(this.#entries.get(hostname)?.machines.keys() ?? [])];
  }

  #view(entry: Entry): HostView {
    const { used } = entry;
    const host = settled(entry);
    const free = minus(minus(minus(host.total, this.#executorShare), used), host.foreign);
    return {
      host,
      free,
      offered: entry.offers.size > 0 ? least(free, this.#usable(entry)) : undefined,
      machines: entry.machines.size,
    };
  }

  /** The first task on a host brings the executor's own share with it. */
  #usable(entry: Entry): Room {
    return entry.executorKnown ? entry.offered : minus(entry.offered, this.#executorShare);
  }

  #ofAgent(agentId: string): Entry | undefined {
    return this.#entries.get(this.#hostOfAgent.get(agentId) ?? '');
  }

  #forgetAgent(entry: Entry): void {
    this.#hostOfAgent.delete(entry.host.agentId);
    this.#dropOffers(entry);
    entry.executorKnown = false;
  }

  #dropOffers({ offers }: Entry): void {
    for (const id of offers.keys()) this.#hostOfOffer.delete(id);
    offers.clear();
  }

  /** Amounts are whole numbers, so that adding and taking away never drifts. */
  #put(entry: Entry, uid: string, { ask, member }: Place): void {
    entry.machines.set(uid, ask);
    entry.used = plus(entry.used, ask);
    if (member) this.tallies.joined({ member, host: entry.host });
  }

  #enter(member: Member, ask: Room): void {
    this.tallies.entered(member);
    this.#usage.set(member.namespace, plus(this.usageOf(member.namespace), ask));
  }

  #leave(member: Member, ask: Room): void {
    this.tallies.gone(member);
    const left = minus(this.usageOf(member.namespace), ask);
    if (left.cpu > 0 || left.mem > 0) this.#usage.set(member.namespace, left);
    else this.#usage.delete(member.namespace);
  }

  *#seats(): Generator<Seat> {
    for (const { hostname, member } of this.#places.values()) {
      const host = this.#entries.get(hostname)?.host;
      if (member && host) yield { member, host };
    }
  }

  #recount(entry: Entry): void {
    entry.offered = [...entry.offers.values()].map(roomOf).reduce(plus, noRoom);
    this.#touch(entry.host.hostname);
  }

  #touch(hostname: string): void {
    this.version++;
    this.#changed(hostname);
  }
}

function settled({ host, machines }: Entry): HostView['host'] {
  if (isSettled(host)) return host;
  return { ...host, readiness: machines.size === 0 ? 'Ready' : 'NotInventoried' };
}

function isSettled(host: LedgerHost): host is HostView['host'] {
  return host.readiness !== 'Unproven';
}
