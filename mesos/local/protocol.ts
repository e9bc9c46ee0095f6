/**
 * What the local master and its agents say to each other. This part is ours: real agents speak libprocess messages, which nobody
 * else can. It lives under a path that a real Mesos does not have.
 *
 * POST /mesos-local/v1/agents        Registration -> 200 and a RecordIO stream of MasterMessage. The stream is the agent's
 *                                    connection: when it ends, the master takes the agent for disconnected. First record:
 *                                    REGISTERED, or GONE if an operator declared the agent gone.
 * POST /mesos-local/v1/agents/calls  AgentCalls -> 202; 409 if the session is no longer the agent's: it must register again.
 *
 * Order: master to agent is the order of the stream. Agent to master is the order of the calls, of which an agent has one in
 * flight at a time, carrying all that gathered meanwhile. Nothing here is kept for a broken connection: updates are sent again by
 * the agent's status update manager after registration, kills by the master, and the rest is best effort as in Mesos.
 */
import type {
  AgentInfo,
  ExecutorInfo,
  FrameworkInfo,
  Id,
  Labels,
  Resource,
  TaskInfo,
  TaskState,
  TaskStatus,
} from '#mesos/types.ts';

export const registrationPath = '/mesos-local/v1/agents';
export const callsPath = '/mesos-local/v1/agents/calls';

/** Mesos' Task: what is kept of a TaskInfo once it was launched. `data` is not. */
export interface Task {
  readonly name: string;
  readonly task_id: Id;
  readonly framework_id: Id;
  readonly agent_id: Id;
  readonly executor_id?: Id;
  readonly resources: readonly Resource[];
  readonly labels?: Labels;
  readonly kill_policy?: NonNullable<TaskInfo['kill_policy']>;
  /** The latest state the agent knows of. */
  state: TaskState;
  /** The state of the oldest update that the scheduler has not acknowledged, or of the last one it did. */
  status_update_state?: TaskState;
  status_update_uuid?: string;
  /** The latest status of each state, as the operator API shows. */
  statuses: TaskStatus[];
}

export interface Registration {
  /** Without `id`: a new agent. */
  readonly agent: AgentInfo;
  /** Dynamic reservations and volumes, which the agent's own resources do not show. */
  readonly checkpointed?: readonly Resource[];
  readonly tasks: readonly Task[];
  readonly executors: readonly { readonly framework_id: Id; readonly executor: ExecutorInfo }[];
  /** The frameworks of those tasks and executors, so that a restarted master knows their capabilities. */
  readonly frameworks: readonly FrameworkInfo[];
}

export interface TaskRef {
  readonly framework_id: Id;
  readonly task_id: Id;
}

export type MasterMessage =
  | {
      readonly type: 'REGISTERED';
      readonly agent_id: Id;
      readonly session: string;
      /** Tasks that the master thinks are on the agent and the agent did not name: it drops them. */
      readonly reconcile: readonly TaskRef[];
    }
  | { readonly type: 'GONE'; readonly message: string }
  | { readonly type: 'PING' }
  | {
      readonly type: 'RUN_TASK';
      readonly framework: FrameworkInfo;
      readonly task: TaskInfo;
      /** False: the master thinks that the executor runs already. */
      readonly launch_executor: boolean;
    }
  | {
      readonly type: 'RUN_TASK_GROUP';
      readonly framework: FrameworkInfo;
      readonly executor: ExecutorInfo;
      readonly tasks: readonly TaskInfo[];
      readonly launch_executor: boolean;
    }
  | {
      readonly type: 'KILL_TASK';
      readonly framework_id: Id;
      readonly task_id: Id;
      readonly kill_policy?: { readonly grace_period?: { readonly nanoseconds: number } };
    }
  | { readonly type: 'ACKNOWLEDGE'; readonly framework_id: Id; readonly task_id: Id; readonly uuid: string }
  | { readonly type: 'MESSAGE'; readonly framework_id: Id; readonly executor_id: Id; readonly data: string }
  | {
      readonly type: 'CHECKPOINT_RESOURCES';
      /** All dynamic reservations and volumes of the agent. */
      readonly resources: readonly Resource[];
    }
  | {
      readonly type: 'DRAIN';
      /** No task may take longer to end; absent: as long as its own kill policy says. */
      readonly max_grace_ms?: number;
    }
  | { readonly type: 'DRAIN_ENDED' }
  | { readonly type: 'SHUTDOWN_EXECUTOR'; readonly framework_id: Id; readonly executor_id: Id }
  | { readonly type: 'SHUTDOWN_FRAMEWORK'; readonly framework_id: Id };

export type AgentMessage =
  | { readonly type: 'PONG' }
  | {
      readonly type: 'UPDATE';
      readonly framework_id: Id;
      readonly status: TaskStatus;
      /** The latest state the agent knows of, which may be newer than the status. */
      readonly latest_state: TaskState;
    }
  | { readonly type: 'MESSAGE'; readonly framework_id: Id; readonly executor_id: Id; readonly data: string }
  | {
      readonly type: 'EXITED_EXECUTOR';
      readonly framework_id: Id;
      readonly executor_id: Id;
      /** Raw wait status; -1 if unknown. */
      readonly status: number;
    };

export interface AgentCalls {
  readonly agent_id: Id;
  readonly session: string;
  readonly messages: readonly AgentMessage[];
}
