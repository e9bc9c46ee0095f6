/** Every call of a subscribed scheduler except SUBSCRIBE. Those that Mesos takes and forgets in silence are silent here. */
import type { Id, SchedulerCall } from '#mesos/types.ts';
import type { MasterMessage } from '../../protocol.ts';
import { filterKey } from '../allocator.ts';
import { noteDrained } from '../drain.ts';
import { acknowledgeOperation, reconcileOperations } from '../feedback.ts';
import { removeFramework } from '../frameworks.ts';
import { answerInverseOffers, reviveInverseOffers } from '../inverse-offers.ts';
import { type Framework, type Master, sendToAgent, within } from '../state.ts';
import { completeIfAcknowledged } from '../updates.ts';
import { accept, decline } from './accept.ts';
import { reconcileAll, reconcileTask } from './reconcile.ts';
import { updateFramework } from './subscribe.ts';

export type OtherCall = Exclude<SchedulerCall, { type: 'SUBSCRIBE' }>;

/** Returns the HTTP status of the answer. Throws HttpError where Mesos answers otherwise. */
export function dispatch(master: Master, framework: Framework, call: OtherCall): 200 | 202 {
  switch (call.type) {
    case 'TEARDOWN':
      removeFramework(master, framework);
      return 202;
    case 'ACCEPT':
      accept(master, framework, call.accept);
      return 202;
    case 'DECLINE':
      decline(master, framework, valuesOf(call.decline.offer_ids), call.decline.filters);
      return 202;
    case 'REVIVE':
      revive(master, framework, call.revive?.roles ?? []);
      return 202;
    case 'SUPPRESS':
      suppress(framework, call.suppress?.roles ?? []);
      return 202;
    case 'KILL':
      kill(master, framework, call.kill);
      return 202;
    case 'SHUTDOWN':
      forward(master, call.shutdown.agent_id.value, {
        type: 'SHUTDOWN_EXECUTOR',
        framework_id: { value: framework.id },
        executor_id: call.shutdown.executor_id,
      });
      return 202;
    case 'ACKNOWLEDGE':
      acknowledge(master, framework, call.acknowledge);
      return 202;
    case 'RECONCILE':
      reconcile(master, framework, call.reconcile.tasks ?? []);
      return 202;
    case 'MESSAGE':
      forward(master, call.message.agent_id.value, {
        type: 'MESSAGE',
        framework_id: { value: framework.id },
        executor_id: call.message.executor_id,
        data: call.message.data,
      });
      return 202;
    case 'UPDATE_FRAMEWORK':
      update(master, framework, call.update_framework);
      return 200;
    case 'ACCEPT_INVERSE_OFFERS': {
      const { inverse_offer_ids, filters } = call.accept_inverse_offers;
      answerInverseOffers(master, framework, 'ACCEPT', valuesOf(inverse_offer_ids), filters);
      return 202;
    }
    case 'DECLINE_INVERSE_OFFERS': {
      const { inverse_offer_ids, filters } = call.decline_inverse_offers;
      answerInverseOffers(master, framework, 'DECLINE', valuesOf(inverse_offer_ids), filters);
      return 202;
    }
    case 'ACKNOWLEDGE_OPERATION_STATUS': {
      const { operation_id, uuid } = call.acknowledge_operation_status;
      acknowledgeOperation(framework, operation_id.value, uuid);
      return 202;
    }
    case 'RECONCILE_OPERATIONS':
      reconcileOperations(master, framework, call.reconcile_operations.operations ?? []);
      return 202;
    case 'REQUEST':
      return 202; // Mesos' allocator ignores it too.
  }
}

function update(
  master: Master,
  framework: Framework,
  {
    framework_info,
    suppressed_roles,
    offer_constraints,
  }: (OtherCall & { type: 'UPDATE_FRAMEWORK' })['update_framework'],
): void {
  updateFramework(master, framework, framework_info, suppressed_roles, offer_constraints);
}

function valuesOf(ids: readonly Id[] | undefined): string[] {
  return (ids ?? []).map(({ value }) => value);
}

function forward(master: Master, agentId: string, message: MasterMessage): void {
  const agent = master.agents.get(agentId);
  if (agent !== undefined) sendToAgent(agent, message);
}

/** One role that the framework does not have makes Mesos drop the whole call. */
function ownRoles(framework: Framework, roles: readonly string[]): readonly string[] | undefined {
  if (roles.length === 0) return framework.roles;
  return roles.every((role) => framework.roles.includes(role)) ? roles : undefined;
}

function revive(master: Master, framework: Framework, named: readonly string[]): void {
  const roles = ownRoles(framework, named);
  if (roles === undefined) return;
  for (const role of roles) framework.suppressed.delete(role);
  for (const key of [...framework.filters.keys()]) {
    if (roles.some((role) => key.startsWith(filterKey(role, '')))) framework.filters.delete(key);
  }
  reviveInverseOffers(master, framework, false);
  master.allocator.request();
}

function suppress(framework: Framework, named: readonly string[]): void {
  for (const role of ownRoles(framework, named) ?? []) framework.suppressed.add(role);
}

function kill(master: Master, framework: Framework, call: (SchedulerCall & { type: 'KILL' })['kill']): void {
  const task = framework.tasks.get(call.task_id.value);
  if (task === undefined) {
    reconcileTask(master, framework, call);
    return;
  }
  if (call.agent_id !== undefined && call.agent_id.value !== task.agent_id.value) return;
  const agent = master.agents.get(task.agent_id.value);
  if (agent === undefined) return;
  const message: MasterMessage = {
    type: 'KILL_TASK',
    framework_id: { value: framework.id },
    task_id: call.task_id,
    ...(call.kill_policy && { kill_policy: call.kill_policy }),
  };
  within(agent.kills, framework.id).set(call.task_id.value, message);
  sendToAgent(agent, message);
}

function acknowledge(
  master: Master,
  framework: Framework,
  call: (SchedulerCall & { type: 'ACKNOWLEDGE' })['acknowledge'],
): void {
  const agent = master.agents.get(call.agent_id.value);
  // Dropped while the agent is away: it will send the update again, and the scheduler acknowledges again.
  if (agent?.session === undefined) return;
  completeIfAcknowledged(framework, agent, call.task_id.value, call.uuid);
  noteDrained(master, agent);
  sendToAgent(agent, {
    type: 'ACKNOWLEDGE',
    framework_id: { value: framework.id },
    task_id: call.task_id,
    uuid: call.uuid,
  });
}

function reconcile(
  master: Master,
  framework: Framework,
  tasks: (SchedulerCall & { type: 'RECONCILE' })['reconcile']['tasks'],
): void {
  if (tasks.length === 0) {
    reconcileAll(master, framework);
    return;
  }
  for (const task of tasks) reconcileTask(master, framework, task);
}
