/** Whether a task may be launched: Mesos' checks in Mesos' order and words (src/master/validation.cpp). Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { ExecutorInfo, Resource, TaskInfo } from '#mesos/types.ts';
import { idProblem } from '../../calls.ts';
import { add, type Bag, bagOf, contains, describe, milliOf, sum } from '../../resources.ts';

export interface LaunchContext {
  readonly frameworkId: string;
  readonly agentId: string;
  readonly role: string;
  /** What is left of the accepted offers. */
  readonly available: Bag;
  /** How the task's executor is known on the agent, if it is. */
  readonly executor: ExecutorInfo | undefined;
  readonly isRunning: (taskId: string) => boolean;
  readonly isUnreachable: (taskId: string) => boolean;
}

export type Verdict = { readonly needed: Bag } | { readonly problem: string };

function allocated(resources: readonly Resource[] | undefined, role: string): Resource[] | undefined {
  return resources?.map((resource) => ({ ...resource, allocation_info: resource.allocation_info ?? { role } }));
}

export function normalizedExecutor(executor: ExecutorInfo, role: string, frameworkId: string): ExecutorInfo {
  const resources = allocated(executor.resources, role);
  const command = executor.command && {
    ...executor.command,
    shell: executor.command.shell ?? true,
    ...(executor.command.environment && {
      environment: {
        variables: executor.command.environment.variables.map((variable) => ({ type: 'VALUE' as const, ...variable })),
      },
    }),
  };
  return {
    ...executor,
    framework_id: executor.framework_id ?? { value: frameworkId },
    ...(command && { command }),
    ...(resources && { resources }),
  };
}

/** Fills in what a master fills in: the allocated role, the framework's id, defaults of the protocol. */
export function normalizedTask(task: TaskInfo, role: string, frameworkId: string): TaskInfo {
  return {
    ...task,
    resources: allocated(task.resources, role) ?? [],
    ...(task.command && { command: { ...task.command, shell: task.command.shell ?? true } }),
    ...(task.executor && { executor: normalizedExecutor(task.executor, role, frameworkId) }),
  };
}

/** The fields that must be equal for two tasks to share an executor; labels and the grace period are not among them. */
const comparedFields = [
  'type',
  'executor_id',
  'data',
  'command',
  'framework_id',
  'name',
  'source',
  'container',
  'discovery',
] as const;

export function isSameExecutor(a: ExecutorInfo, b: ExecutorInfo): boolean {
  const [left, right] = [a, b] as unknown as [Record<string, unknown>, Record<string, unknown>];
  if (comparedFields.some((field) => !isDeepStrictEqual(left[field] ?? null, right[field] ?? null))) return false;
  if (a.resources?.[0]?.allocation_info?.role !== b.resources?.[0]?.allocation_info?.role) return false;
  return isDeepStrictEqual(bagOf(a.resources), bagOf(b.resources));
}

function taskProblem(task: TaskInfo, context: LaunchContext): string | undefined {
  const problem = commonProblem(task, context);
  if (problem !== undefined) return problem;
  if ((task.executor === undefined) === (task.command === undefined)) {
    return 'Task should have at least one (but not both) of CommandInfo or ExecutorInfo present';
  }
  return task.executor && executorProblem(task.executor, context);
}

/** What may be wrong with a task alone or in a group. */
function commonProblem(task: TaskInfo, context: LaunchContext): string | undefined {
  const id = task.task_id.value;
  const badId = idProblem(id);
  if (badId !== undefined) return badId;
  if (context.isRunning(id)) return `Task has duplicate ID: ${id}`;
  if (context.isUnreachable(id)) return `Task reuses the ID of an unreachable task: ${id}`;
  if (task.agent_id.value !== context.agentId) {
    return `Task uses invalid agent ${task.agent_id.value} while agent ${context.agentId} is expected`;
  }
  if (bagOf(task.resources).size === 0) return 'Task uses no resources';
  const foreign = task.resources?.find((resource) => resource.allocation_info?.role !== context.role);
  return foreign && `Resource '${foreign.name}' is not allocated to role '${context.role}'`;
}

function executorProblem(executor: ExecutorInfo, context: LaunchContext): string | undefined {
  const badId = idProblem(executor.executor_id.value);
  if (badId !== undefined) return badId;
  if (executor.framework_id?.value !== context.frameworkId) {
    return `ExecutorInfo has an invalid FrameworkID (Actual: ${executor.framework_id?.value} vs Expected: ${context.frameworkId})`;
  }
  if (executor.type === 'DEFAULT') {
    if (executor.command !== undefined) return `'ExecutorInfo.command' must not be set for 'DEFAULT' executor`;
  } else if (executor.command === undefined) return `'ExecutorInfo.command' must be set for 'CUSTOM' executor`;
  if (context.executor !== undefined && !isSameExecutor(executor, context.executor)) {
    const rule = '-'.repeat(60);
    return (
      `ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n${rule}\n` +
      `Existing ExecutorInfo:\n${JSON.stringify(context.executor, null, 2)}\n${rule}\n` +
      `ExecutorInfo:\n${JSON.stringify(executor, null, 2)}\n${rule}\n`
    );
  }
  return undefined;
}

/** Judges a normalized task. `needed` includes the executor's resources unless the agent runs it already. */
export function judge(task: TaskInfo, context: LaunchContext): Verdict {
  const problem = taskProblem(task, context);
  if (problem !== undefined) return { problem };
  const own = context.executor === undefined ? bagOf(task.executor?.resources) : bagOf([]);
  const needed = add(bagOf(task.resources), own);
  if (contains(context.available, needed)) return { needed };
  return {
    problem:
      `Total resources ${describe(needed, context.role)} required by task and its executor ` +
      `is more than available ${describe(context.available, context.role)}`,
  };
}

const leastOfExecutor = { cpus: 10, mem: 32_000, disk: 1 } as const;

/** Judges the normalized tasks of a LAUNCH_GROUP together. Unlike with LAUNCH, its executor must have something of its own. */
export function judgeGroup(tasks: readonly TaskInfo[], executor: ExecutorInfo, context: LaunchContext): Verdict {
  const problem = groupProblem(tasks, executor, context);
  if (problem !== undefined) return { problem };
  const own = context.executor === undefined ? bagOf(executor.resources) : bagOf([]);
  const needed = sum([own, ...tasks.map((task) => bagOf(task.resources))]);
  if (contains(context.available, needed)) return { needed };
  return {
    problem:
      `Total resources ${describe(needed, context.role)} required by task group and its executor ` +
      `are more than available ${describe(context.available, context.role)}`,
  };
}

function groupProblem(tasks: readonly TaskInfo[], executor: ExecutorInfo, context: LaunchContext): string | undefined {
  if (tasks.length === 0) return 'Task group cannot be empty';
  const id = executor.executor_id.value;
  for (const task of tasks) {
    const twice = tasks.filter((other) => other.task_id.value === task.task_id.value).length > 1;
    const problem = twice
      ? `Task has duplicate ID: ${task.task_id.value}`
      : task.executor
        ? `'TaskInfo.executor' must not be set`
        : commonProblem(task, context);
    if (problem !== undefined) return `Task '${task.task_id.value}' is invalid: ${problem}`;
  }
  if (executor.type === undefined) return `'ExecutorInfo.type' must be set`;
  const has = bagOf(executor.resources);
  for (const [name, least] of Object.entries(leastOfExecutor))
    if (milliOf(has, name) < least)
      return `Executor '${id}' uses less ${name} (${milliOf(has, name) / 1000}) than the minimum required (${least / 1000})`;
  return executorProblem(executor, context);
}
