/** Inverse offers: asking frameworks that have something on a machine to be away when it is. What they answer is noted, nothing more. */
import type { Filters } from '#mesos/types.ts';
import { unavailabilityOf } from './machines.ts';
import { agentUrl, refuseMs } from './offers.ts';
import { type Agent, type Framework, type Master, sendEvent } from './state.ts';

function hasSomething(agent: Agent, framework: Framework): boolean {
  return agent.tasks.has(framework.id) || agent.executors.has(framework.id);
}

/** Sends what is due; one inverse offer of an agent is out per framework at a time. */
export function sendInverseOffers(master: Master): void {
  if (master.registry.maintenance.windows.length === 0) return;
  const now = master.options.clock.monotonic();
  for (const agent of master.agents.values()) {
    const unavailability = agent.session && unavailabilityOf(master, agent);
    if (unavailability === undefined) continue;
    for (const framework of master.frameworks.values()) {
      const book = agent.inverse.get(framework.id);
      const isOut = book?.offerId !== undefined || (book?.filteredUntil ?? 0) > now;
      if (framework.session === undefined || isOut || !hasSomething(agent, framework)) continue;
      const id = `${master.id}-O${master.nextOffer++}`;
      agent.inverse.set(framework.id, { ...book, offerId: id });
      const ids = { id: { value: id }, framework_id: { value: framework.id }, agent_id: { value: agent.id } };
      const inverse = { ...ids, url: agentUrl(agent), unavailability };
      sendEvent(framework, { type: 'INVERSE_OFFERS', inverse_offers: { inverse_offers: [inverse] } });
    }
  }
}

/** ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS: the answer is noted, and the question is not put again for a while. */
export function answerInverseOffers(
  master: Master,
  framework: Framework,
  status: 'ACCEPT' | 'DECLINE',
  ids: readonly string[],
  filters: Filters | undefined,
): void {
  const { clock } = master.options;
  for (const agent of master.agents.values()) {
    const book = agent.inverse.get(framework.id);
    if (book?.offerId === undefined || !ids.includes(book.offerId)) continue;
    agent.inverse.set(framework.id, {
      offerId: undefined,
      filteredUntil: clock.monotonic() + refuseMs(filters),
      answer: { status, at: clock.now() },
    });
  }
}

/** The plan changed or the agent is lost: what was asked is void, and so is what was answered. */
export function forgetInverseOffers(master: Master, agent: Agent): void {
  for (const [frameworkId, { offerId }] of [...agent.inverse]) {
    agent.inverse.delete(frameworkId);
    const framework = master.frameworks.get(frameworkId);
    if (offerId === undefined || framework === undefined) continue;
    const rescind = { inverse_offer_id: { value: offerId } };
    sendEvent(framework, { type: 'RESCIND_INVERSE_OFFER', rescind_inverse_offer: rescind });
  }
}

/** A framework that begins anew is asked anew. */
export function reviveInverseOffers(master: Master, framework: Framework, isNewSession: boolean): void {
  for (const agent of master.agents.values()) {
    const book = agent.inverse.get(framework.id);
    if (book === undefined) continue;
    const offerId = isNewSession ? undefined : book.offerId;
    agent.inverse.set(framework.id, { ...book, offerId, filteredUntil: 0 });
  }
}
