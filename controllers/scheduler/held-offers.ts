/** The offers that we hold, by host: what Mesos lets us use there now, and us alone. */
import { sumMilli } from '#mesos/resources.ts';
import type { Offer } from '#mesos/types.ts';
import { noRoom, plus, type Room } from './room.ts';

const roomOf = ({ resources }: Offer): Room => ({ cpu: sumMilli(resources, 'cpus'), mem: sumMilli(resources, 'mem') });

export class HeldOffers {
  readonly #held = new Map<string, { readonly offers: readonly Offer[]; readonly room: Room }>();
  readonly #hostOfOffer = new Map<string, string>();

  add(hostname: string, offer: Offer): void {
    this.#hostOfOffer.set(offer.id.value, hostname);
    this.#set(hostname, [...this.#without(hostname, offer.id.value), offer]);
  }

  /** The host that it was of; undefined if it is not held. */
  remove(offerId: string): string | undefined {
    const hostname = this.#hostOfOffer.get(offerId);
    if (hostname === undefined) return undefined;
    this.#hostOfOffer.delete(offerId);
    this.#set(hostname, this.#without(hostname, offerId));
    return hostname;
  }

  /** Lets go of all of a host. */
  take(hostname: string): readonly Offer[] {
    const offers = this.#on(hostname);
    for (const { id } of offers) this.#hostOfOffer.delete(id.value);
    this.#held.delete(hostname);
    return offers;
  }

  /** All of a host together; undefined: none is held. */
  roomOn(hostname: string): Room | undefined {
    return this.#held.get(hostname)?.room;
  }

  hosts(): readonly string[] {
    return [...this.#held.keys()];
  }

  all(): readonly Offer[] {
    return [...this.#held.values()].flatMap(({ offers }) => offers);
  }

  #on(hostname: string): readonly Offer[] {
    return this.#held.get(hostname)?.offers ?? [];
  }

  #without(hostname: string, offerId: string): readonly Offer[] {
    return this.#on(hostname).filter(({ id }) => id.value !== offerId);
  }

  #set(hostname: string, offers: readonly Offer[]): void {
    if (offers.length === 0) this.#held.delete(hostname);
    else this.#held.set(hostname, { offers, room: offers.map(roomOf).reduce(plus, noRoom) });
  }
}
