/** ACCEPT and DECLINE. */
import type { ExecutorInfo, Filters, Id, Operation, Resource, SchedulerCall, TaskInfo } from '#mesos/types.ts';
import { type ConversionType, conversionTypes } from '../../operations.ts';
import type { Task } from '../../protocol.ts';
import { type Bag, subtract, sum } from '../../resources.ts';
import { applyToOffer } from '../apply.ts';
import { recover } from '../books.ts';
import { reportOperation } from '../feedback.ts';
import { consumeOffer, refuse, withdrawOffer } from '../offers.ts';
import {
  type Agent,
  type Framework,
  isPartitionAware,
  type Master,
  type Offer,
  sendToAgent,
  within,
} from '../state.ts';
import { masterStatus, sendUpdate } from '../updates.ts';
import { judge, judgeGroup, type LaunchContext, normalizedExecutor, normalizedTask } from './task-validation.ts';

type Accept = (SchedulerCall & { type: 'ACCEPT' })['accept'];

/** Why the offers cannot be accepted together, or undefined. */
function offersProblem(master: Master, framework: Framework, ids: readonly string[]): string | undefined {
  if (ids.length === 0) return 'No offers specified';
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) return `Duplicate offer ${twice} in offer list`;
  const offers = ids.map((id) => master.offers.get(id));
  const stale = offers.findIndex((offer) => offer?.framework !== framework);
  if (stale >= 0) return `Offer ${ids[stale]} is no longer valid`;
  const first = offers[0]!;
  if (offers.some((offer) => offer!.agent !== first.agent)) {
    return 'Aggregated offers must belong to one single agent';
  }
  if (offers.some((offer) => offer!.role !== first.role)) return 'Aggregated offers must be allocated to the same role';
  return undefined;
}

function ownOffers(master: Master, framework: Framework, ids: readonly string[]): Offer[] {
  return ids.flatMap((id) => master.offers.get(id) ?? []).filter((offer) => offer.framework === framework);
}

function launchedBy(operation: Operation): readonly TaskInfo[] {
  if (operation.type === 'LAUNCH') return operation.launch.task_infos ?? [];
  if (operation.type === 'LAUNCH_GROUP') {
    return operation.launch_group.task_group.tasks;
  }
  return [];
}

/**
 * ACCEPT. Operations apply in order to what the ones before them left; what nobody took is refused with the call's filters. With
 * offers that are not all valid nothing is launched, and all of them come back.
 */
export function accept(master: Master, framework: Framework, call: Accept): void {
  const ids = (call.offer_ids ?? []).map((id) => id.value);
  const problem = offersProblem(master, framework, ids);
  const offers = ownOffers(master, framework, ids);
  if (problem !== undefined) {
    for (const offer of offers) withdrawOffer(master, offer);
    for (const task of (call.operations ?? []).flatMap(launchedBy)) {
      refuseTask(master, framework, task, {
        state: isPartitionAware(framework) ? 'TASK_DROPPED' : 'TASK_LOST',
        reason: 'REASON_INVALID_OFFERS',
        message: `Task launched with invalid offers: ${problem}`,
      });
    }
    for (const operation of call.operations ?? [])
      if (launchedBy(operation).length === 0)
        reportOperation(master, framework, undefined, operation, `Operation attempted with invalid offers: ${problem}`);
    return;
  }
  const { agent, role } = offers[0]!;
  const offered = sum(offers.map((offer) => offer.bag));
  for (const offer of offers) consumeOffer(master, offer);
  const left = (call.operations ?? []).reduce(
    (bag, operation) => perform(master, framework, agent, role, bag, operation),
    offered,
  );
  // What operations made of the offer is offered again without delay; only what was left as it was is refused.
  const made = new Map([...left].filter(([key]) => !offered.has(key)));
  recover(master, framework, agent, role, made);
  refuse(master, framework, agent, role, subtract(left, made), call.filters);
}

/** Returns what is left after the operation. Its resources stay booked for the framework: they were offered to it. */
function perform(
  master: Master,
  framework: Framework,
  agent: Agent,
  role: string,
  left: Bag,
  operation: Operation,
): Bag {
  if (operation.type === 'LAUNCH') {
    return launchedBy(operation).reduce((bag, task) => launch(master, framework, agent, role, bag, task), left);
  }
  if (operation.type === 'LAUNCH_GROUP')
    return launchGroup(master, framework, agent, role, left, operation.launch_group);
  if (isConversion(operation)) return convertOffer(master, framework, agent, role, left, operation);
  // The rest needs resource providers, which a local Mesos does not have.
  const { type, id } = operation as { readonly type: string; readonly id?: Id };
  reportOperation(master, framework, agent, { type, ...(id && { id }) }, `This local Mesos has no ${type}`);
  return left;
}

type ConversionOperation = Operation & { readonly type: ConversionType };

function isConversion(operation: Operation): operation is ConversionOperation {
  return (conversionTypes as readonly string[]).includes(operation.type);
}

function convertOffer(
  master: Master,
  framework: Framework,
  agent: Agent,
  role: string,
  left: Bag,
  operation: ConversionOperation,
): Bag {
  const body = operation[operation.type.toLowerCase()] as { readonly [list: string]: readonly Resource[] } | undefined;
  const resources = body?.resources ?? body?.volumes ?? [];
  const after = applyToOffer(master, framework, agent, role, left, operation.type, resources);
  const error = typeof after === 'string' ? after : undefined;
  reportOperation(master, framework, agent, operation, error);
  return typeof after === 'string' ? left : after;
}

function refuseTask(
  master: Master,
  framework: Framework,
  task: TaskInfo,
  news: { state: 'TASK_DROPPED' | 'TASK_LOST' | 'TASK_ERROR'; reason: string; message: string },
): void {
  sendUpdate(framework, masterStatus(master, { task_id: task.task_id, ...news, agent_id: task.agent_id }));
}

function launch(master: Master, framework: Framework, agent: Agent, role: string, left: Bag, info: TaskInfo): Bag {
  const forbidden = authorizationProblem(master, framework, info, info.executor);
  if (forbidden !== undefined) {
    refuseTask(master, framework, info, {
      state: 'TASK_ERROR',
      reason: 'REASON_TASK_UNAUTHORIZED',
      message: forbidden,
    });
    return left;
  }
  const task = normalizedTask(info, role, framework.id);
  const context = contextOf(framework, agent, role, left, task.executor);
  const known = context.executor;
  const verdict = judge(task, context);
  if ('problem' in verdict) {
    const message = verdict.problem;
    refuseTask(master, framework, info, { state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID', message });
    return left;
  }
  enterTask(master, framework, agent, task, task.executor);
  if (task.executor && known === undefined) enterExecutor(agent, framework, task.executor);
  sendToAgent(agent, {
    type: 'RUN_TASK',
    framework: framework.info,
    task,
    launch_executor: task.executor === undefined || known === undefined,
  });
  return subtract(left, verdict.needed);
}

/** All of a group or none of it: what is wrong with one task is told of each. */
function launchGroup(
  master: Master,
  framework: Framework,
  agent: Agent,
  role: string,
  left: Bag,
  group: (Operation & { type: 'LAUNCH_GROUP' })['launch_group'],
): Bag {
  const executor = normalizedExecutor(group.executor, role, framework.id);
  const tasks = group.task_group.tasks.map((info) => normalizedTask(info, role, framework.id));
  const refuseAll = (reason: string, message: string) => {
    for (const task of tasks) refuseTask(master, framework, task, { state: 'TASK_ERROR', reason, message });
    return left;
  };
  const forbidden = tasks.map((task) => authorizationProblem(master, framework, task, executor)).find(Boolean);
  if (forbidden !== undefined) return refuseAll('REASON_TASK_GROUP_UNAUTHORIZED', forbidden);
  const context = contextOf(framework, agent, role, left, executor);
  const verdict = judgeGroup(tasks, executor, context);
  if ('problem' in verdict) return refuseAll('REASON_TASK_GROUP_INVALID', verdict.problem);
  for (const task of tasks) enterTask(master, framework, agent, task, executor);
  if (context.executor === undefined) enterExecutor(agent, framework, executor);
  const launch_executor = context.executor === undefined;
  sendToAgent(agent, { type: 'RUN_TASK_GROUP', framework: framework.info, executor, tasks, launch_executor });
  return subtract(left, verdict.needed);
}

function contextOf(
  framework: Framework,
  agent: Agent,
  role: string,
  available: Bag,
  executor: ExecutorInfo | undefined,
): LaunchContext {
  const id = executor?.executor_id.value;
  return {
    frameworkId: framework.id,
    agentId: agent.id,
    role,
    available,
    executor: id === undefined ? undefined : agent.executors.get(framework.id)?.get(id),
    isRunning: (taskId) => framework.tasks.has(taskId),
    isUnreachable: (taskId) => framework.unreachable.has(taskId),
  };
}

/** Asked of the user that the task would run as: its own, its executor's or the framework's. */
function authorizationProblem(
  master: Master,
  framework: Framework,
  task: TaskInfo,
  executor: ExecutorInfo | undefined,
): string | undefined {
  const user = task.command?.user ?? executor?.command?.user ?? framework.info.user;
  const { mayRun } = master.options;
  if (mayRun === undefined || mayRun(framework.info.principal, user)) return undefined;
  return `Not authorized to launch as user '${user}'`;
}

function enterExecutor(agent: Agent, framework: Framework, executor: ExecutorInfo): void {
  within(agent.executors, framework.id).set(executor.executor_id.value, executor);
}

function enterTask(
  master: Master,
  framework: Framework,
  agent: Agent,
  info: TaskInfo,
  executor: ExecutorInfo | undefined,
): void {
  const task: Task = {
    name: info.name,
    task_id: info.task_id,
    framework_id: { value: framework.id },
    ...(executor && { executor_id: executor.executor_id }),
    agent_id: { value: agent.id },
    state: 'TASK_STAGING',
    resources: info.resources ?? [],
    statuses: [],
    ...(info.labels && { labels: info.labels }),
    ...(info.kill_policy && { kill_policy: info.kill_policy }),
  };
  framework.tasks.set(task.task_id.value, task);
  within(agent.tasks, framework.id).set(task.task_id.value, task);
  if (master.operators.watched) master.operators.send({ type: 'TASK_ADDED', task_added: { task: { ...task } } });
}

/** DECLINE. Offers that are not the framework's are passed over in silence, as recorded. */
export function decline(
  master: Master,
  framework: Framework,
  ids: readonly string[],
  filters: Filters | undefined,
): void {
  for (const offer of ownOffers(master, framework, [...new Set(ids)])) {
    consumeOffer(master, offer);
    refuse(master, framework, offer.agent, offer.role, offer.bag, filters);
  }
}
