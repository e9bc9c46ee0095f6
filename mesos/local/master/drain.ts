/** Agents that take no more tasks: deactivated, or drained of those they have, by an operator's word that the registry remembers. */
import { HttpError } from '../http.ts';
import { markGone } from './agent-loss.ts';
import { rescindOffer } from './offers.ts';
import type { DrainInfo } from './registry.ts';
import { type Agent, type Master, sendToAgent } from './state.ts';

function known(master: Master, id: string): Agent {
  const agent = master.agents.get(id);
  if (agent === undefined) throw new HttpError(400, 'Unknown agent');
  return agent;
}

function deactivate(master: Master, agent: Agent, drain: DrainInfo | undefined): void {
  master.registry.setDeactivated(agent.id, drain ?? true);
  for (const offer of [...agent.offers]) rescindOffer(master, offer);
}

export function deactivateAgent(master: Master, id: string): void {
  deactivate(master, known(master, id), master.registry.drainOf(id));
}

export function drainAgent(master: Master, id: string, config: DrainInfo['config']): void {
  const agent = known(master, id);
  deactivate(master, agent, { state: 'DRAINING', config });
  sendDrain(master, agent);
  noteDrained(master, agent);
}

/** Tells the agent to end its tasks, also when it comes back from somewhere. */
export function sendDrain(master: Master, agent: Agent): void {
  const drain = master.registry.drainOf(agent.id);
  if (drain === undefined) return;
  const limit = drain.config.max_grace_period?.nanoseconds;
  sendToAgent(agent, { type: 'DRAIN', ...(limit !== undefined && { max_grace_ms: limit / 1e6 }) });
}

/** Drained is an agent whose last task has ended and was acknowledged. */
export function noteDrained(master: Master, agent: Agent): void {
  const drain = master.registry.drainOf(agent.id);
  if (drain?.state !== 'DRAINING' || agent.tasks.size > 0) return;
  master.registry.setDeactivated(agent.id, { ...drain, state: 'DRAINED' });
  if (drain.config.mark_gone) markGone(master, agent.id);
}

export function reactivateAgent(master: Master, id: string): void {
  const agent = known(master, id);
  if (master.registry.drainOf(id)?.state === 'DRAINING')
    throw new HttpError(409, `Agent ${id} is still draining: it can be reactivated when it is drained`);
  master.registry.setDeactivated(id, false);
  // Offered again with the next interval, as recorded.
  sendToAgent(agent, { type: 'DRAIN_ENDED' });
}
