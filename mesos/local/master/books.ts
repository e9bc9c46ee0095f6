/** The books: who has how much of which agent. Every change of an allocation goes through these two functions. */
import type { Resource } from '#mesos/types.ts';
import { add, type Bag, bagOf, subtract } from '../resources.ts';
import { type Agent, allocatedOf, type Framework, type Master, removeWithin } from './state.ts';

/** Books `bag` of the agent for a role of the framework. */
export function allocate(master: Master, framework: Framework, agent: Agent, role: string, bag: Bag): void {
  agent.free = subtract(agent.free, bag);
  framework.allocated.set(role, add(allocatedOf(framework, role), bag));
  master.allocator.addToRole(role, bag);
}

/** Takes `bag` back. Does not ask for an allocation: the caller knows whether anybody waits for it. */
export function recover(master: Master, framework: Framework, agent: Agent, role: string, bag: Bag): void {
  agent.free = add(agent.free, bag);
  framework.allocated.set(role, subtract(allocatedOf(framework, role), bag));
  master.allocator.removeFromRole(role, bag);
}

/** The role that resources of a task or executor are allocated to: all of one list have the same. */
export function roleOf(resources: readonly Resource[] | undefined): string {
  return resources?.[0]?.allocation_info?.role ?? '*';
}

/** Forgets an executor that ended: what it used comes back. */
export function releaseExecutor(master: Master, frameworkId: string, agent: Agent, executorId: string): boolean {
  const executor = removeWithin(agent.executors, frameworkId, executorId);
  const framework = master.frameworks.get(frameworkId);
  if (executor === undefined || framework === undefined) return false;
  recover(master, framework, agent, roleOf(executor.resources), bagOf(executor.resources));
  return true;
}
