/** A running agent: what it remembers (journal) and what is only true while it runs. */
import type { AgentInfo, ExecutorEvent, TaskInfo, TaskState, TaskStatus } from '#mesos/types.ts';
import type { RecordStream } from '../http.ts';
import type { AgentMessage } from '../protocol.ts';
import type { ExecutorRecord } from './checkpoint.ts';
import type { Journal } from './journal.ts';
import type { Handle } from './launcher.ts';
import type { AgentOptions } from './options.ts';

/** What an executor is handed at once: a task, or a group of them. */
export interface Work {
  readonly tasks: readonly TaskInfo[];
  readonly isGroup: boolean;
}

export function eventOf({ tasks, isGroup }: Work): ExecutorEvent {
  return isGroup
    ? { type: 'LAUNCH_GROUP', launch_group: { task_group: { tasks } } }
    : { type: 'LAUNCH', launch: { task: tasks[0]! } };
}

export interface Executor {
  readonly record: ExecutorRecord;
  readonly id: string;
  readonly frameworkId: string;
  state: 'REGISTERING' | 'RUNNING' | 'TERMINATING' | 'TERMINATED';
  stream: RecordStream<ExecutorEvent> | undefined;
  handle: Handle | undefined;
  /** What waits for the executor to subscribe. */
  queued: Work[];
  /** Registration, re-registration or shutdown: an executor waits for one thing at a time. */
  timer: Disposable;
  /** What its tasks become when it ends, if that was decided before it ended. */
  verdict: { readonly state: TaskState; readonly reason: string; readonly message: string } | undefined;
  /** Resolved when it has subscribed or ended, one of which its timer sees to. */
  readonly settled: PromiseWithResolvers<void>;
}

/** The connection to the master. Sending while there is none does nothing. */
export interface Link {
  readonly registered: boolean;
  send(message: AgentMessage): void;
}

export interface Agent {
  readonly options: AgentOptions;
  readonly journal: Journal;
  /** Without id until the master gave one. */
  info: AgentInfo;
  readonly executors: Map<string, Executor>;
  /** Timers of updates that are with the scheduler, by task. */
  readonly retries: Map<string, { timer: Disposable; delayMs: number }>;
  link: Link;
  /** Set while the agent is drained: what ends now ends because of that. */
  draining: { readonly maxGraceMs: number | undefined } | undefined;
  /** Called when the master says that this agent was declared gone for ever. */
  readonly gone: (message: string) => void;
}

export const noTimer: Disposable = { [Symbol.dispose]() {} };

export function statusNow(agent: Agent, status: Omit<TaskStatus, 'timestamp'>): TaskStatus {
  return { ...status, timestamp: agent.options.clock.now() / 1000 };
}
