/** Agents register, register again, answer pings and report. */
import { type AgentInfo, isTerminal } from '#mesos/types.ts';
import { HttpError, type RecordStream } from '../http.ts';
import type { AgentCalls, AgentMessage, MasterMessage, Registration, Task, TaskRef } from '../protocol.ts';
import { add, type Bag, bagOf, subtract } from '../resources.ts';
import { disconnectAgent, markUnreachable, removeAgent } from './agent-loss.ts';
import { agentMessage } from './agent-message.ts';
import { totalOf } from './apply.ts';
import { allocate, releaseExecutor, roleOf } from './books.ts';
import { noteDrained, sendDrain } from './drain.ts';
import { recoverFramework } from './frameworks.ts';
import { isDown, machineOf } from './machines.ts';
import { type Agent, type Framework, type Master, newAgent, sendEvent, sendToAgent, within } from './state.ts';
import { completeTask, masterStatus, sendUpdate, updateFromAgent } from './updates.ts';

/** Registers the agent at the other end of `stream`. Returns what to call when the stream breaks. */
export function registerAgent(
  master: Master,
  registration: Registration,
  stream: RecordStream<MasterMessage>,
): () => void {
  const id = registration.agent.id?.value ?? `${master.id}-S${master.nextAgent++}`;
  if (master.registry.isGone(id)) {
    stream.send({ type: 'GONE', message: 'Agent has been marked gone' });
    stream.end();
    return () => {};
  }
  if (isDown(master, machineOf({ info: registration.agent }))) {
    stream.send({ type: 'GONE', message: 'Machine is DOWN' });
    stream.end();
    return () => {};
  }
  const info: AgentInfo = { ...registration.agent, id: { value: id } };
  const wasUnreachable = master.registry.unreachableSince(id) !== undefined;
  if (!sameInfo(master.agents.get(id)?.info, info)) master.registry.admit(info);
  const known = master.agents.get(id);
  const total = totalOf(bagOf(info.resources), bagOf(registration.checkpointed));
  const agent = known === undefined ? addAgent(master, id, info, total) : updateAgent(master, known, info, total);
  const session = { id: master.options.random.uuid(), stream };
  agent.session?.stream.end();
  agent.session = session;
  agent.missedPongs = 0;
  const reconcile = adoptState(master, agent, registration, wasUnreachable);
  stream.send({ type: 'REGISTERED', agent_id: { value: id }, session: session.id, reconcile });
  for (const kills of agent.kills.values()) for (const kill of kills.values()) sendToAgent(agent, kill);
  sendDrain(master, agent);
  noteDrained(master, agent);
  if (known === undefined) announceAgent(master, agent);
  master.options.log.info('Agent registered', { agent: id, hostname: info.hostname, tasks: registration.tasks.length });
  master.allocator.request(agent);
  return () => disconnectAgent(master, agent, session);
}

function sameInfo(a: AgentInfo | undefined, b: AgentInfo): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}

function addAgent(master: Master, id: string, info: AgentInfo, total: Bag): Agent {
  for (const other of master.agents.values()) {
    const sameAddress = other.info.hostname === info.hostname && other.info.port === info.port;
    if (sameAddress && other.session === undefined) {
      removeAgent(master, other, 'a new agent registered at the same address');
    }
  }
  master.recovered.get(id)?.timer[Symbol.dispose]();
  master.recovered.delete(id);
  const agent = newAgent(id, info, total, { [Symbol.dispose]() {} }, master.options.clock.now());
  master.agents.set(id, agent);
  master.allocator.addTotal(total);
  ping(master, agent);
  return agent;
}

/** An agent that restarted may have other resources: its free ones follow, below zero if need be. */
function updateAgent(master: Master, agent: Agent, info: AgentInfo, total: Bag): Agent {
  master.allocator.removeTotal(agent.total);
  master.allocator.addTotal(total);
  agent.free = subtract(add(agent.free, total), agent.total);
  agent.total = total;
  agent.info = info;
  agent.reregisteredAt = master.options.clock.now();
  return agent;
}

function announceAgent(master: Master, agent: Agent): void {
  if (!master.operators.watched) return;
  master.operators.send({ type: 'AGENT_ADDED', agent_added: { agent: agentMessage(master, agent) } });
}

function ping(master: Master, agent: Agent): void {
  const { clock, agentPingTimeoutMs, maxAgentPingTimeouts } = master.options;
  agent.pinger = clock.timeout(() => {
    if (++agent.missedPongs > maxAgentPingTimeouts) return markUnreachable(master, agent);
    sendToAgent(agent, { type: 'PING' });
    ping(master, agent);
  }, agentPingTimeoutMs);
}

/** Takes over what the agent says it runs. Returns the tasks that it should run and did not name. */
function adoptState(master: Master, agent: Agent, registration: Registration, wasUnreachable: boolean): TaskRef[] {
  for (const info of registration.frameworks) {
    const id = info.id!.value;
    if (master.completed.has(id)) sendToAgent(agent, { type: 'SHUTDOWN_FRAMEWORK', framework_id: { value: id } });
    else if (!master.frameworks.has(id)) recoverFramework(master, info);
  }
  const missing = forgetUnreported(master, agent, registration);
  for (const { framework_id: owner, executor } of registration.executors) {
    const framework = master.frameworks.get(owner.value);
    const executors = agent.executors.get(owner.value);
    if (framework === undefined || executors?.has(executor.executor_id.value)) continue;
    within(agent.executors, owner.value).set(executor.executor_id.value, executor);
    allocate(master, framework, agent, roleOf(executor.resources), bagOf(executor.resources));
  }
  for (const task of registration.tasks) {
    const framework = master.frameworks.get(task.framework_id.value);
    if (framework !== undefined) adoptTask(master, framework, agent, task, wasUnreachable);
  }
  return missing;
}

function forgetUnreported(master: Master, agent: Agent, registration: Registration): TaskRef[] {
  const reported = new Set(registration.tasks.map((task) => `${task.framework_id.value}\n${task.task_id.value}`));
  const running = new Set(
    registration.executors.map((entry) => `${entry.framework_id.value}\n${entry.executor.executor_id.value}`),
  );
  const missing: TaskRef[] = [];
  for (const [frameworkId, tasks] of [...agent.tasks]) {
    for (const task of [...tasks.values()]) {
      if (reported.has(`${frameworkId}\n${task.task_id.value}`)) continue;
      const framework = master.frameworks.get(frameworkId);
      if (isTerminal(task.state) && framework) completeTask(framework, agent, task);
      else missing.push({ framework_id: { value: frameworkId }, task_id: task.task_id });
    }
  }
  for (const [frameworkId, executors] of [...agent.executors]) {
    for (const executorId of [...executors.keys()]) {
      if (!running.has(`${frameworkId}\n${executorId}`)) releaseExecutor(master, frameworkId, agent, executorId);
    }
  }
  return missing;
}

function adoptTask(master: Master, framework: Framework, agent: Agent, task: Task, wasUnreachable: boolean): void {
  const id = task.task_id.value;
  if (!agent.tasks.get(framework.id)?.has(id)) {
    within(agent.tasks, framework.id).set(id, task);
    framework.tasks.set(id, task);
    framework.unreachable.delete(id);
    if (!isTerminal(task.state)) {
      allocate(master, framework, agent, roleOf(task.resources), bagOf(task.resources));
    }
    if (master.operators.watched) master.operators.send({ type: 'TASK_ADDED', task_added: { task: { ...task } } });
  }
  if (wasUnreachable) sendUpdate(framework, returnedStatus(master, agent, task));
}

function returnedStatus(master: Master, agent: Agent, task: Task) {
  const last = task.statuses.at(-1);
  return masterStatus(master, {
    task_id: task.task_id,
    state: task.status_update_state ?? task.state,
    message: 'Unreachable agent re-reregistered',
    reason: 'REASON_AGENT_REREGISTERED',
    agent_id: { value: agent.id },
    ...(task.executor_id && { executor_id: task.executor_id }),
    ...(last?.healthy !== undefined && { healthy: last.healthy }),
    ...(last?.container_status && { container_status: last.container_status }),
  });
}

/** What an agent reports. HttpError 409 if it is not the agent's current connection: it has to register again. */
export function agentCalls(master: Master, calls: AgentCalls): void {
  const agent = master.agents.get(calls.agent_id.value);
  if (agent?.session?.id !== calls.session) {
    throw new HttpError(409, `Agent ${calls.agent_id.value} is not registered with session ${calls.session}`);
  }
  agent.missedPongs = 0;
  for (const message of calls.messages) handle(master, agent, message);
}

function handle(master: Master, agent: Agent, message: AgentMessage): void {
  if (message.type === 'PONG') return;
  if (message.type === 'UPDATE') {
    updateFromAgent(master, agent, message);
    return;
  }
  const framework = master.frameworks.get(message.framework_id.value);
  if (framework === undefined) return;
  const executor = { agent_id: { value: agent.id }, executor_id: message.executor_id };
  if (message.type === 'MESSAGE') {
    sendEvent(framework, { type: 'MESSAGE', message: { ...executor, data: message.data } });
  } else if (releaseExecutor(master, framework.id, agent, message.executor_id.value)) {
    // A master knows nothing of the executors of command tasks, so their end is not news.
    sendEvent(framework, { type: 'FAILURE', failure: { ...executor, status: message.status } });
  }
}
