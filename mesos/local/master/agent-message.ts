/** An agent as the operator API shows it. */

import { isTerminal, type Resource } from '#mesos/types.ts';
import { add, bagOf, emptyBag, render } from '../resources.ts';
import { mesosVersion, timeInfo } from '../version.ts';
import { roleOf } from './books.ts';
import type { Agent, Master } from './state.ts';

const capabilities = [
  'MULTI_ROLE',
  'HIERARCHICAL_ROLE',
  'RESERVATION_REFINEMENT',
  'RESOURCE_PROVIDER',
  'RESIZE_VOLUME',
  'AGENT_OPERATION_FEEDBACK',
  'AGENT_DRAINING',
  'TASK_RESOURCE_LIMITS',
].map((type) => ({ type }));

function usedResources(agent: Agent): Resource[] {
  const byRole = new Map<string, ReturnType<typeof bagOf>>();
  const use = (resources: readonly Resource[] | undefined) => {
    const role = roleOf(resources);
    byRole.set(role, add(byRole.get(role) ?? emptyBag, bagOf(resources)));
  };
  for (const tasks of agent.tasks.values()) {
    for (const task of tasks.values()) if (!isTerminal(task.state)) use(task.resources);
  }
  for (const executors of agent.executors.values()) {
    for (const executor of executors.values()) use(executor.resources);
  }
  return [...byRole].flatMap(([role, bag]) => render(bag, { allocatedTo: role, withRole: true }));
}

export function agentMessage(master: Master, agent: Agent): object {
  const drain = master.registry.drainOf(agent.id);
  const used = usedResources(agent);
  const offered = [...agent.offers].flatMap((offer) => render(offer.bag, { allocatedTo: offer.role, withRole: true }));
  return {
    agent_info: agent.info,
    active: agent.session !== undefined,
    deactivated: master.registry.isDeactivated(agent.id),
    version: mesosVersion,
    pid: `slave(1)@127.0.0.1:${agent.info.port}`,
    registered_time: timeInfo(agent.registeredAt),
    ...(agent.reregisteredAt !== undefined && { reregistered_time: timeInfo(agent.reregisteredAt) }),
    total_resources: render(agent.total, { withRole: true }),
    ...(used.length > 0 && { allocated_resources: used }),
    ...(offered.length > 0 && { offered_resources: offered }),
    capabilities,
    ...(drain && { drain_info: drain }),
  };
}
