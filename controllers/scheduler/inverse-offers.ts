/**
 * Inverse offers ask for a host back for the time of its maintenance. The answer tells the operators what they want to know: ACCEPT is that
 * nothing of ours is there, DECLINE that something is, for now. Mesos notes it, and puts the question again when the filter runs out.
 */
import type { InverseOffer } from '#mesos/types.ts';
import { leftOn } from './drains.ts';
import type { World } from './world.ts';

/** Soon enough for an operator who waits for the last host. */
const askAgainSeconds = { accept: 60, decline: 5 } as const;

export async function answerInverseOffers(world: World, offers: readonly InverseOffer[]): Promise<void> {
  const isEmpty = ({ agent_id }: InverseOffer) => {
    const hostname = world.agents.hostname(agent_id?.value ?? '');
    // Of an agent that is not known yet nothing is known either.
    return hostname !== undefined && leftOn(world, hostname).length === 0;
  };
  const idsOf = (some: readonly InverseOffer[]) => ({ inverse_offer_ids: some.map(({ id }) => id) });
  const { accept = [], decline = [] } = Object.groupBy(offers, (offer) => (isEmpty(offer) ? 'accept' : 'decline'));
  if (accept.length > 0)
    await world.call({
      type: 'ACCEPT_INVERSE_OFFERS',
      accept_inverse_offers: { ...idsOf(accept), filters: { refuse_seconds: askAgainSeconds.accept } },
    });
  if (decline.length > 0)
    await world.call({
      type: 'DECLINE_INVERSE_OFFERS',
      decline_inverse_offers: { ...idsOf(decline), filters: { refuse_seconds: askAgainSeconds.decline } },
    });
}
