/** Making offers and taking them back. */
import type { Filters, Offer as OfferMessage } from '#mesos/types.ts';
import { type Bag, render } from '../resources.ts';
import { filterKey } from './allocator.ts';
import { allocate, recover } from './books.ts';
import { unavailabilityOf } from './machines.ts';
import { type Agent, type Framework, type Master, type Offer, sendEvent } from './state.ts';

const defaultRefuseSeconds = 5;
const maxRefuseSeconds = 365 * 24 * 3600;
/** Refusals of one agent that are kept: the newest win. */
const maxFilters = 20;

export function makeOffer(master: Master, framework: Framework, agent: Agent, role: string, bag: Bag): Offer {
  allocate(master, framework, agent, role, bag);
  const offer: Offer = { id: `${master.id}-O${master.nextOffer++}`, framework, agent, role, bag, timeout: undefined };
  const { clock, offerTimeoutMs } = master.options;
  // Held for too long it is taken back (--offer_timeout).
  if (offerTimeoutMs !== undefined) offer.timeout = clock.timeout(() => rescindOffer(master, offer), offerTimeoutMs);
  master.offers.set(offer.id, offer);
  framework.offers.add(offer);
  agent.offers.add(offer);
  return offer;
}

export function agentUrl({ info: { hostname, port = 5051 } }: Agent): object {
  return { scheme: 'http', address: { hostname, ip: '127.0.0.1', port }, path: '/slave(1)' };
}

export function offerMessage(master: Master, offer: Offer): OfferMessage {
  const { framework, agent, role } = offer;
  // Older frameworks have one role and are not told for which they were chosen.
  const allocatedTo = framework.capabilities.has('MULTI_ROLE') ? role : undefined;
  const unavailability = unavailabilityOf(master, agent);
  const executors = [...(agent.executors.get(framework.id)?.keys() ?? [])];
  return {
    id: { value: offer.id },
    framework_id: { value: framework.id },
    agent_id: { value: agent.id },
    hostname: agent.info.hostname,
    url: agentUrl(agent),
    resources: render(offer.bag, {
      ...(allocatedTo !== undefined && { allocatedTo }),
      withRole: !framework.capabilities.has('RESERVATION_REFINEMENT'),
      withoutStack: !framework.capabilities.has('RESERVATION_REFINEMENT'),
    }),
    ...(agent.info.attributes && agent.info.attributes.length > 0 && { attributes: agent.info.attributes }),
    ...(executors.length > 0 && { executor_ids: executors.map((value) => ({ value })) }),
    ...(unavailability && { unavailability }),
    ...(allocatedTo !== undefined && { allocation_info: { role } }),
  };
}

/** Collects the offers of one allocation run and sends one OFFERS event per framework. */
export class OfferBatch {
  readonly #byFramework = new Map<Framework, OfferMessage[]>();

  add(master: Master, offer: Offer): void {
    const list = this.#byFramework.get(offer.framework);
    if (list === undefined) this.#byFramework.set(offer.framework, [offerMessage(master, offer)]);
    else list.push(offerMessage(master, offer));
  }

  send(): void {
    for (const [framework, offers] of this.#byFramework) sendEvent(framework, { type: 'OFFERS', offers: { offers } });
    this.#byFramework.clear();
  }
}

/** Forgets the offer; its resources are the caller's to give out or to recover. */
export function consumeOffer(master: Master, offer: Offer): void {
  offer.timeout?.[Symbol.dispose]();
  master.offers.delete(offer.id);
  offer.framework.offers.delete(offer);
  offer.agent.offers.delete(offer);
}

/** Takes the offer back without telling the framework. */
export function withdrawOffer(master: Master, offer: Offer): void {
  consumeOffer(master, offer);
  recover(master, offer.framework, offer.agent, offer.role, offer.bag);
}

export function rescindOffer(master: Master, offer: Offer): void {
  rescindedOffer(master, offer);
  recover(master, offer.framework, offer.agent, offer.role, offer.bag);
}

/** Takes the offer back and leaves its resources booked: they are the caller's to recover. */
export function rescindedOffer(master: Master, offer: Offer): void {
  consumeOffer(master, offer);
  sendEvent(offer.framework, { type: 'RESCIND', rescind: { offer_id: { value: offer.id } } });
}

/** Gives back what a framework did not take, and keeps it from being offered to the same framework for a while. */
export function refuse(
  master: Master,
  framework: Framework,
  agent: Agent,
  role: string,
  bag: Bag,
  filters: Filters | undefined,
): void {
  if (bag.size === 0) return;
  recover(master, framework, agent, role, bag);
  const { clock, allocationIntervalMs } = master.options;
  const ms = refuseMs(filters);
  if (ms === 0) return;
  const key = filterKey(role, agent.id);
  const filter = { refused: bag, until: clock.monotonic() + Math.max(ms, allocationIntervalMs) };
  framework.filters.set(key, [...(framework.filters.get(key) ?? []).slice(1 - maxFilters), filter]);
}

/** 0 is no filter at all; negative or not a number is the default; beyond a year is a year. */
export function refuseMs(filters: Filters | undefined): number {
  const seconds = Number(filters?.refuse_seconds ?? defaultRefuseSeconds);
  if (Number.isNaN(seconds) || seconds < 0) return defaultRefuseSeconds * 1000;
  return Math.min(seconds, maxRefuseSeconds) * 1000;
}
