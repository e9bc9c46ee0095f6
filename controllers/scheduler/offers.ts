/**
 * Held offers are resources that nobody else in the cluster can use, so they are held only while there is work, and for a bounded time.
 * Without work: declined for an hour and SUPPRESS. With work: REVIVE, once more after 30 s without any offer, since a REVIVE may be
 * overtaken by the effect of a DECLINE.
 */
import type { Offer } from '#mesos/types.ts';
import { decline } from './launcher.ts';
import type { World } from './world.ts';

const idleAfterMs = 20_000;
const holdMs = 120_000;
const reviveAgainMs = 30_000;
const idleRefuseSeconds = 3600;
const busyRefuseSeconds = 1;

export interface OfferKeeper {
  /** Nothing is held, and Mesos knows that nothing is wanted. */
  readonly isQuiet: boolean;
  /** Offers arrived. Those of agents that are not known yet are kept aside until `agentsChanged`. */
  offered(offers: readonly Offer[]): void;
  rescinded(offerId: string): void;
  agentsChanged(): void;
  /** A new session: nothing is held, nothing is suppressed. */
  reset(): void;
  /** To be called every second or so, and when work arrives. */
  look(hasWork: boolean): Promise<void>;
}

export interface OfferKeeperOptions {
  readonly world: World;
  readonly onOffers: () => void;
  readonly onUnknownAgent: () => void;
  /** Of planned maintenance there is news: to be taken in before the offer is. */
  readonly onWindow: (hostname: string) => void;
}

export function offerKeeper({ world, onOffers, onUnknownAgent, onWindow }: OfferKeeperOptions): OfferKeeper {
  const since = new Map<string, number>();
  let aside: Offer[] = [];
  let suppressed = false;
  let lastWorkMs = world.clock.monotonic();
  let lastOfferMs = 0;
  let revivedMs = Number.NEGATIVE_INFINITY;

  function take(offers: readonly Offer[]): void {
    const unknown = offers.filter((offer) => !world.ledger.addOffer(offer));
    aside.push(...unknown);
    if (unknown.length > 0) onUnknownAgent();
    if (unknown.length < offers.length) onOffers();
  }

  async function letGo(refuseSeconds: number, which: (id: string) => boolean): Promise<void> {
    const held = world.ledger.offers().filter(({ id }) => which(id.value));
    for (const { id } of held) world.ledger.removeOffer(id.value);
    for (const { id } of held) since.delete(id.value);
    await decline(world, held, refuseSeconds);
  }

  async function idle(nowMs: number): Promise<void> {
    if (nowMs - lastWorkMs < idleAfterMs) return;
    await letGo(idleRefuseSeconds, () => true);
    if (suppressed) return;
    suppressed = await world.call({ type: 'SUPPRESS' });
  }

  async function revive(nowMs: number): Promise<void> {
    const quiet = world.ledger.offers().length === 0 && nowMs - Math.max(lastOfferMs, revivedMs) > reviveAgainMs;
    if (!suppressed && !quiet) return;
    if (nowMs - revivedMs < 1000) return;
    revivedMs = nowMs;
    if (await world.call({ type: 'REVIVE' })) suppressed = false;
  }

  return {
    get isQuiet() {
      return suppressed && aside.length === 0 && world.ledger.offers().length === 0;
    },
    offered(offers) {
      lastOfferMs = world.clock.monotonic();
      for (const { id, hostname, unavailability } of offers) {
        since.set(id.value, lastOfferMs);
        if (world.windows.hear(hostname, unavailability)) onWindow(hostname);
      }
      take(offers);
    },
    rescinded(offerId) {
      since.delete(offerId);
      aside = aside.filter(({ id }) => id.value !== offerId);
      world.ledger.removeOffer(offerId);
    },
    agentsChanged() {
      const waiting = aside;
      aside = [];
      take(waiting);
    },
    reset() {
      since.clear();
      aside = [];
      suppressed = false;
      revivedMs = world.clock.monotonic();
      world.ledger.clearOffers();
    },
    async look(hasWork) {
      const nowMs = world.clock.monotonic();
      const held = new Set(world.ledger.offers().map(({ id }) => id.value));
      for (const id of since.keys())
        if (!held.has(id) && !aside.some((offer) => offer.id.value === id)) since.delete(id);
      const late = aside.filter(({ id }) => nowMs - (since.get(id.value) ?? 0) > 10_000);
      aside = aside.filter((offer) => !late.includes(offer));
      await decline(world, late, busyRefuseSeconds);
      if (!hasWork) return await idle(nowMs);
      lastWorkMs = nowMs;
      await letGo(busyRefuseSeconds, (id) => nowMs - (since.get(id) ?? nowMs) > holdMs);
      await revive(nowMs);
    },
  };
}
