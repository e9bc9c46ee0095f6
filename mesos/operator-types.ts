/** Answers and events of the master's operator API, as far as we read them. Lists that are empty may be absent. */
import type { AgentInfo, Id, Labels, MasterInfo, Resource, TaskState, TaskStatus, Unavailability } from './types.ts';

export interface OperatorAgent {
  readonly agent_info: AgentInfo & { readonly id: Id };
  readonly active?: boolean;
  /** By DEACTIVATE_AGENT or DRAIN_AGENT: no offers are made of it. */
  readonly deactivated?: boolean;
  readonly version?: string;
  readonly pid?: string;
  /** In "endpoint" format; see resources.ts. */
  readonly total_resources?: readonly Resource[];
  readonly allocated_resources?: readonly Resource[];
  readonly offered_resources?: readonly Resource[];
  readonly drain_info?: { readonly state: 'UNKNOWN' | 'DRAINING' | 'DRAINED' };
}

export interface AgentsAnswer {
  readonly agents?: readonly OperatorAgent[];
  /** Known from the registry, not back yet since the master started: about their tasks nothing can be said. */
  readonly recovered_agents?: readonly AgentInfo[];
}

export interface OperatorTask {
  readonly name?: string;
  readonly task_id: Id;
  readonly framework_id: Id;
  readonly executor_id?: Id;
  readonly agent_id: Id;
  readonly state: TaskState;
  readonly status_update_state?: TaskState;
  readonly resources?: readonly Resource[];
  readonly statuses?: readonly TaskStatus[];
  readonly labels?: Labels;
}

export interface TasksAnswer {
  readonly pending_tasks?: readonly OperatorTask[];
  readonly tasks?: readonly OperatorTask[];
  readonly unreachable_tasks?: readonly OperatorTask[];
  readonly completed_tasks?: readonly OperatorTask[];
  readonly orphan_tasks?: readonly OperatorTask[];
}

export interface MaintenanceWindow {
  /** As the agents there registered. */
  readonly machine_ids?: readonly { readonly hostname?: string; readonly ip?: string }[];
  readonly unavailability: Unavailability;
}

export interface ScheduleAnswer {
  readonly schedule: { readonly windows?: readonly MaintenanceWindow[] };
}

export interface MasterAnswer {
  readonly master_info: MasterInfo;
  readonly start_time?: number;
  readonly elected_time?: number;
}

export type OperatorEvent =
  | {
      readonly type: 'SUBSCRIBED';
      readonly subscribed: {
        readonly heartbeat_interval_seconds?: number;
        readonly get_state?: { readonly get_agents?: AgentsAnswer; readonly get_tasks?: TasksAnswer };
      };
    }
  | { readonly type: 'HEARTBEAT' }
  | { readonly type: 'AGENT_ADDED'; readonly agent_added: { readonly agent: OperatorAgent } }
  | { readonly type: 'AGENT_REMOVED'; readonly agent_removed: { readonly agent_id: Id } }
  | { readonly type: 'TASK_ADDED'; readonly task_added: { readonly task: OperatorTask } }
  | {
      readonly type: 'TASK_UPDATED';
      readonly task_updated: { readonly framework_id: Id; readonly status: TaskStatus; readonly state: TaskState };
    }
  | { readonly type: 'FRAMEWORK_ADDED' | 'FRAMEWORK_UPDATED' | 'FRAMEWORK_REMOVED' };
