/** How a master loses agents: a broken connection, silence, an operator's word, another agent in its place. */
import { isTerminal, type TaskState } from '#mesos/types.ts';
import { timeInfo } from '../version.ts';
import { releaseExecutor } from './books.ts';
import { forgetInverseOffers } from './inverse-offers.ts';
import { rescindOffer } from './offers.ts';
import { type Agent, type AgentSession, type Framework, isPartitionAware, type Master, sendEvent } from './state.ts';
import { completeTask, declare } from './updates.ts';

const maxUnreachable = 1000;

interface Loss {
  /** The state of its tasks for frameworks with PARTITION_AWARE; the others see TASK_LOST. */
  readonly state: TaskState;
  readonly reason: string;
  readonly message: string;
  readonly unreachableSince?: number;
}

/** The agent's connection broke. It is not lost yet, but nothing on it can be offered. */
export function disconnectAgent(master: Master, agent: Agent, session: AgentSession): void {
  if (agent.session !== session) return;
  agent.session = undefined;
  master.options.log.info('Agent disconnected', { agent: agent.id, hostname: agent.info.hostname });
  for (const offer of [...agent.offers]) rescindOffer(master, offer);
  for (const frameworkId of [...agent.tasks.keys(), ...agent.executors.keys()]) {
    const framework = master.frameworks.get(frameworkId);
    if (framework && !framework.info.checkpoint) loseUncheckpointed(master, framework, agent);
  }
}

/** Executors of a framework without checkpointing die with the agent's process, so their tasks are lost at once. */
function loseUncheckpointed(master: Master, framework: Framework, agent: Agent): void {
  for (const task of [...(agent.tasks.get(framework.id)?.values() ?? [])]) {
    if (!isTerminal(task.state)) {
      declare(master, framework, agent, task, {
        state: 'TASK_LOST',
        reason: 'REASON_AGENT_DISCONNECTED',
        message: `Agent ${agent.info.hostname} disconnected`,
      });
    }
    completeTask(framework, agent, task);
  }
  releaseExecutors(master, framework.id, agent);
}

function releaseExecutors(master: Master, frameworkId: string, agent: Agent): void {
  for (const id of [...(agent.executors.get(frameworkId)?.keys() ?? [])]) {
    releaseExecutor(master, frameworkId, agent, id);
  }
}

/** Forgets an agent, tells its tasks' frameworks what became of them, and everybody that it failed. */
function loseAgent(master: Master, agent: Agent, loss: Loss): void {
  master.options.log.warn('Agent lost', { agent: agent.id, hostname: agent.info.hostname, reason: loss.message });
  agent.pinger[Symbol.dispose]();
  for (const offer of [...agent.offers]) rescindOffer(master, offer);
  forgetInverseOffers(master, agent);
  for (const [frameworkId, tasks] of [...agent.tasks]) {
    const framework = master.frameworks.get(frameworkId);
    for (const task of framework === undefined ? [] : [...tasks.values()]) {
      loseTask(master, framework!, agent, task.task_id.value, loss);
    }
  }
  for (const frameworkId of [...agent.executors.keys()]) releaseExecutors(master, frameworkId, agent);
  master.agents.delete(agent.id);
  master.allocator.removeTotal(agent.total);
  agent.session?.stream.end();
  agent.session = undefined;
  for (const framework of master.frameworks.values()) {
    sendEvent(framework, { type: 'FAILURE', failure: { agent_id: { value: agent.id } } });
  }
}

function loseTask(master: Master, framework: Framework, agent: Agent, taskId: string, loss: Loss): void {
  const task = agent.tasks.get(framework.id)?.get(taskId);
  if (task === undefined) return;
  if (isTerminal(task.state)) {
    completeTask(framework, agent, task);
    return;
  }
  declare(master, framework, agent, task, { ...loss, state: isPartitionAware(framework) ? loss.state : 'TASK_LOST' });
  if (loss.unreachableSince === undefined) {
    completeTask(framework, agent, task);
    return;
  }
  framework.tasks.delete(taskId);
  framework.unreachable.set(taskId, task);
  const [oldest] = framework.unreachable.keys();
  if (framework.unreachable.size > maxUnreachable && oldest !== undefined) framework.unreachable.delete(oldest);
}

/** The agent was silent for too long. Stored before anybody hears of it. */
export function markUnreachable(master: Master, agent: Agent): void {
  const since = master.options.clock.now();
  master.registry.markUnreachable(agent.id, since);
  loseAgent(master, agent, {
    state: 'TASK_UNREACHABLE',
    reason: 'REASON_AGENT_REMOVED',
    message: 'health check timed out',
    unreachableSince: since,
  });
}

/** An agent of the registry that did not come back after the master's restart: nobody knows its tasks. */
export function markRecoveredUnreachable(master: Master, id: string): void {
  if (!master.recovered.delete(id)) return;
  master.registry.markUnreachable(id, master.options.clock.now());
  for (const framework of master.frameworks.values()) {
    sendEvent(framework, { type: 'FAILURE', failure: { agent_id: { value: id } } });
  }
}

/** Another agent registered in its place, or it said good-bye. Tasks are TASK_LOST even for PARTITION_AWARE, as recorded. */
export function removeAgent(master: Master, agent: Agent, why: string): void {
  master.registry.remove(agent.id);
  const message = `Agent ${agent.info.hostname} removed: ${why}`;
  loseAgent(master, agent, { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED', message });
  announceRemoval(master, agent.id);
}

/** An operator says that the agent will never come back. False if nobody knows the agent. */
export function markGone(master: Master, id: string): boolean {
  const agent = master.agents.get(id);
  const recovered = master.recovered.get(id);
  const known = agent || recovered || master.registry.isGone(id) || master.registry.unreachableSince(id) !== undefined;
  if (!known) return false;
  master.registry.markGone(id);
  recovered?.timer[Symbol.dispose]();
  master.recovered.delete(id);
  const message = 'Agent has been marked gone';
  if (agent !== undefined) {
    agent.session?.stream.send({ type: 'GONE', message });
    loseAgent(master, agent, { state: 'TASK_GONE_BY_OPERATOR', reason: 'REASON_AGENT_REMOVED_BY_OPERATOR', message });
    announceRemoval(master, id);
  }
  return true;
}

function announceRemoval(master: Master, id: string): void {
  master.operators.send({ type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: id } } });
}

export function unreachableTime(master: Master, id: string): { nanoseconds: number } | undefined {
  const since = master.registry.unreachableSince(id);
  return since === undefined ? undefined : timeInfo(since);
}
