/**
 * The model of all hosts of the cluster: what they have, who uses it, what Mesos offers of it now. Plans are made on it; offers are what
 * they are carried out with. A machine counts here from its stored intent to its proven end, whatever Mesos says of its task: a domain
 * may outlive its task, and its memory is not free.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Taint } from '#lib/api/taints.ts';
import type { Offer } from '#mesos/types.ts';
import { HeldOffers } from './held-offers.ts';
import { HostExecutor } from './host-executor.ts';
import { type GroupCounts, type Place, Places, type Standing, samePlace } from './places.ts';
import { least, minus, noRoom, plus, type Room } from './room.ts';
import { type Member, type Seat, Tallies } from './tallies.ts';

/** Why nothing new may start on a host, whatever room it has. Ready: nothing stands against it. */
export type Readiness =
  | 'Ready'
  | 'Cordoned'
  | 'Draining'
  | 'Maintenance'
  | 'NotInventoried'
  | 'Unreachable'
  | 'Suspect'
  | 'StorageDown';

export interface LedgerHost {
  readonly hostname: string;
  readonly agentId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints?: readonly Taint[];
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
  readonly machines: Map<string, Place>;
  starting: number;
  held: number;
  executor: HostExecutor;
}

/** What placement looks at. */
export interface HostView {
  readonly host: LedgerHost & { readonly readiness: Readiness };
  /** By the books: total less executor, machines and foreign domains. Below zero where room is held that is not free yet. */
  readonly free: Room;
  /** The part of it that held offers allow to be used now; undefined: no offer is held. */
  readonly offered: Room | undefined;
  readonly machines: number;
  /** As many machines as are allowed at once start there: one more waits until one of them is up. */
  readonly isBusy: boolean;
}

export interface LedgerOptions {
  /** What the executor itself takes of every host. */
  readonly share: Room;
  /** Mesos' id of it, unless a host needs another (host-executor.ts). */
  readonly id: string;
  /** Machines that may start on one host at once. */
  readonly startingMax?: number;
}

export class Ledger {
  readonly #executorShare: Room;
  readonly #executorId: string;
  readonly #startingMax: number;
  readonly #entries = new Map<string, Entry>();
  readonly #hostOfAgent = new Map<string, string>();
  readonly #offers = new HeldOffers();
  readonly #places = new Places();
  readonly #changed: (hostname: string) => void;
  /** What of the machines their rules count. */
  readonly tallies = new Tallies(() => this.#seats());
  /** Grows with every change: what was computed at the same version still holds. */
  version = 0;

  constructor(
    { share, id, startingMax = Number.POSITIVE_INFINITY }: LedgerOptions,
    changed: (hostname: string) => void = () => {},
  ) {
    this.#executorShare = share;
    this.#executorId = id;
    this.#startingMax = startingMax;
    this.#changed = changed;
  }

  setHost(host: LedgerHost): void {
    const old = this.#entries.get(host.hostname);
    if (old && JSON.stringify(old.host) === JSON.stringify(host)) return;
    if (old && old.host.agentId !== host.agentId) this.#forgetAgent(old);
    const entry = old ?? {
      ...{ host, used: noRoom, machines: new Map(), starting: 0, held: 0 },
      executor: new HostExecutor(this.#executorId),
    };
    if (entry.machines.size > 0 && !isDeepStrictEqual(entry.host.labels, host.labels)) this.tallies.clear();
    entry.host = host;
    this.#entries.set(host.hostname, entry);
    this.#hostOfAgent.set(host.agentId, host.hostname);
    if (!old) for (const [uid, place] of this.#places.on(host.hostname)) this.#seat(entry, uid, place);
    this.#touch(host.hostname);
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
  occupy(uid: string, hostname: string, ask: Room, member?: Member, standing: Standing = 'Started'): void {
    const place = { hostname, ask, member, standing };
    const old = this.#places.get(uid);
    if (samePlace(old, place)) return;
    if (old) this.release(uid);
    this.#places.set(uid, place);
    if (member) this.tallies.entered(member);
    const entry = this.#entries.get(hostname);
    if (!entry) return;
    this.#seat(entry, uid, place);
    this.#touch(hostname);
  }

  release(uid: string): void {
    const place = this.#places.get(uid);
    if (!place) return;
    this.#places.delete(uid);
    if (place.member) this.tallies.gone(place.member);
    const entry = this.#entries.get(place.hostname);
    if (!entry?.machines.has(uid)) return;
    this.#unseat(entry, uid, place);
    this.#touch(place.hostname);
  }

  placeOf(uid: string): Place | undefined {
    return this.#places.get(uid);
  }

  /** What the machines of a namespace take. */
  usageOf(namespace: string): Room {
    return this.#places.usageOf(namespace);
  }

  /** Machines of a group (groupOf) that start and that are up, anywhere. */
  countsOf(group: string): GroupCounts {
    return this.#places.countsOf(group);
  }

  /** All that the hosts have, whatever stands against them now. */
  total(): Room {
    return [...this.#entries.values()].map(({ host }) => host.total).reduce(plus, noRoom);
  }

  /** False if the host of the offer is not known (yet): such an offer is to be declined. */
  addOffer(offer: Offer): boolean {
    const entry = this.#entries.get(this.#hostOfAgent.get(offer.agent_id.value) ?? '');
    if (!entry) return false;
    this.#offers.add(entry.host.hostname, offer);
    entry.executor.offered((offer.executor_ids ?? []).map(({ value }) => value));
    this.#touch(entry.host.hostname);
    return true;
  }

  removeOffer(offerId: string): void {
    const hostname = this.#offers.remove(offerId);
    if (hostname !== undefined) this.#touch(hostname);
  }

  /** Takes all held offers of a host, to be accepted together. */
  takeOffers(hostname: string): readonly Offer[] {
    const offers = this.#offers.take(hostname);
    if (offers.length > 0) this.#touch(hostname);
    return offers;
  }

  /** A session has ended: Mesos has taken every offer back. */
  clearOffers(): void {
    for (const hostname of this.#offers.hosts()) this.takeOffers(hostname);
  }

  offers(): readonly Offer[] {
    return this.#offers.all();
  }

  executorOn(hostname: string): HostExecutor | undefined {
    return this.#entries.get(hostname)?.executor;
  }

  /** What held offers allow to be launched there, whatever the books say: for machines that the books already count there. */
  offeredOn(hostname: string): Room | undefined {
    const entry = this.#entries.get(hostname);
    return entry && this.#usable(entry);
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
    return [...this.#places.on(hostname).keys()];
  }

  /** Hosts with such machines, known or not. */
  hostsInUse(): Iterable<string> {
    return this.#places.hosts();
  }

  #view(entry: Entry): HostView {
    const { used, machines, held } = entry;
    const host = settled(entry);
    const free = minus(minus(minus(host.total, this.#executorShare), used), host.foreign);
    const usable = this.#usable(entry);
    return {
      host,
      free,
      offered: usable && least(free, usable),
      machines: machines.size - held,
      isBusy: entry.starting >= this.#startingMax,
    };
  }

  /** The first task on a host brings the executor's own share with it. */
  #usable({ host, executor }: Entry): Room | undefined {
    const offered = this.#offers.roomOn(host.hostname);
    return executor.isKnown || !offered ? offered : minus(offered, this.#executorShare);
  }

  #forgetAgent(entry: Entry): void {
    this.#hostOfAgent.delete(entry.host.agentId);
    this.#offers.take(entry.host.hostname);
    entry.executor = new HostExecutor(this.#executorId);
  }

  /** Amounts are whole numbers, so that adding and taking away never drifts. */
  #seat(entry: Entry, uid: string, place: Place): void {
    entry.machines.set(uid, place);
    entry.used = plus(entry.used, place.ask);
    entry.starting += Number(place.standing === 'Starting');
    entry.held += Number(place.standing === 'Held');
    if (place.member) this.tallies.joined({ member: place.member, host: entry.host });
  }

  #unseat(entry: Entry, uid: string, place: Place): void {
    entry.machines.delete(uid);
    entry.used = minus(entry.used, place.ask);
    entry.starting -= Number(place.standing === 'Starting');
    entry.held -= Number(place.standing === 'Held');
    if (place.member) this.tallies.left({ member: place.member, host: entry.host });
  }

  *#seats(): Generator<Seat> {
    for (const [, { hostname, member }] of this.#places.entries()) {
      const host = this.#entries.get(hostname)?.host;
      if (member && host) yield { member, host };
    }
  }

  #touch(hostname: string): void {
    this.version++;
    this.#changed(hostname);
  }
}

function settled({ host, machines, held }: Entry): HostView['host'] {
  if (isSettled(host)) return host;
  return { ...host, readiness: machines.size === held ? 'Ready' : 'NotInventoried' };
}

function isSettled(host: LedgerHost): host is HostView['host'] {
  return host.readiness !== 'Unproven';
}
