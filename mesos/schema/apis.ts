/**
 * Calls, events and answers of the four APIs (scheduler.proto, executor.proto, master.proto, agent.proto). A call or event has a `type`
 * and, in the field of that name in lower case, a body: `!` if it must be there, `-` if the type has none.
 */
import { messages } from './messages.ts';

type Union = Readonly<Record<string, string>>;

export interface Api {
  /** Fields beside `type` and the bodies. */
  readonly common: string;
  readonly types: Union;
}

const byAgent = 'agent_id Id!';

export const apis = {
  schedulerCall: {
    common: 'framework_id Id',
    types: {
      SUBSCRIBE:
        '! framework_info FrameworkInfo!, suppressed_roles string[], offer_constraints OfferConstraints, force bool',
      TEARDOWN: '-',
      ACCEPT: '! offer_ids Id[], operations Operation[], filters Filters',
      DECLINE: '! offer_ids Id[], filters Filters',
      ACCEPT_INVERSE_OFFERS: '! inverse_offer_ids Id[], filters Filters',
      DECLINE_INVERSE_OFFERS: '! inverse_offer_ids Id[], filters Filters',
      REVIVE: 'roles string[]',
      SUPPRESS: 'roles string[]',
      KILL: '! task_id Id!, agent_id Id, kill_policy KillPolicy',
      SHUTDOWN: '! executor_id Id!, agent_id Id!',
      ACKNOWLEDGE: '! agent_id Id!, task_id Id!, uuid bytes!',
      ACKNOWLEDGE_OPERATION_STATUS: '! agent_id Id, resource_provider_id Id, uuid bytes!, operation_id Id!',
      RECONCILE: '! tasks TaskRef[]',
      RECONCILE_OPERATIONS: '! operations OperationRef[]',
      MESSAGE: '! agent_id Id!, executor_id Id!, data bytes!',
      REQUEST: '! requests Request[]',
      UPDATE_FRAMEWORK:
        '! framework_info FrameworkInfo!, suppressed_roles string[], offer_constraints OfferConstraints',
    },
  },
  schedulerEvent: {
    common: '',
    types: {
      SUBSCRIBED: '! framework_id Id!, heartbeat_interval_seconds double, master_info MasterInfo',
      OFFERS: '! offers Offer[]',
      INVERSE_OFFERS: '! inverse_offers InverseOffer[]',
      RESCIND: '! offer_id Id!',
      RESCIND_INVERSE_OFFER: '! inverse_offer_id Id!',
      UPDATE: '! status TaskStatus!',
      UPDATE_OPERATION_STATUS: '! status OperationStatus!',
      MESSAGE: '! agent_id Id!, executor_id Id!, data bytes!',
      FAILURE: '! agent_id Id, executor_id Id, status int32',
      ERROR: '! message string!',
      HEARTBEAT: '-',
    },
  },
  executorCall: {
    common: 'framework_id Id!, executor_id Id!',
    types: {
      SUBSCRIBE: '! unacknowledged_tasks TaskInfo[], unacknowledged_updates StatusRef[]',
      UPDATE: '! status SentStatus!',
      MESSAGE: '! data bytes!',
      HEARTBEAT: '-',
    },
  },
  executorEvent: {
    common: '',
    types: {
      SUBSCRIBED:
        '! executor_info ExecutorInfo!, framework_info FrameworkInfo!, agent_info AgentInfo!, container_id ContainerId',
      LAUNCH: '! task TaskInfo!',
      LAUNCH_GROUP: '! task_group TaskGroupInfo!',
      KILL: '! task_id Id!, kill_policy KillPolicy',
      ACKNOWLEDGED: '! task_id Id!, uuid bytes!',
      MESSAGE: '! data bytes!',
      SHUTDOWN: '-',
      ERROR: '! message string!',
      HEARTBEAT: '-',
    },
  },
  masterCall: {
    common: '',
    types: {
      ...withoutBody(
        ...['GET_HEALTH', 'GET_FLAGS', 'GET_VERSION', 'GET_LOGGING_LEVEL', 'GET_STATE', 'GET_AGENTS', 'GET_FRAMEWORKS'],
        ...['GET_EXECUTORS', 'GET_OPERATIONS', 'GET_TASKS', 'GET_ROLES', 'GET_WEIGHTS', 'GET_MASTER', 'SUBSCRIBE'],
        ...['GET_MAINTENANCE_STATUS', 'GET_MAINTENANCE_SCHEDULE', 'GET_QUOTA'],
      ),
      GET_METRICS: 'timeout TimeInfo',
      SET_LOGGING_LEVEL: '! level int32!, duration TimeInfo!',
      LIST_FILES: '! path string!',
      READ_FILE: '! path string!, offset int64!, length int64',
      UPDATE_WEIGHTS: '! weight_infos WeightInfo[]',
      RESERVE_RESOURCES: `! ${byAgent}, source Resource[], resources Resource[]`,
      UNRESERVE_RESOURCES: `! ${byAgent}, resources Resource[]`,
      CREATE_VOLUMES: `! ${byAgent}, volumes Resource[]`,
      DESTROY_VOLUMES: `! ${byAgent}, volumes Resource[]`,
      GROW_VOLUME: '! agent_id Id, volume Resource!, addition Resource!',
      SHRINK_VOLUME: '! agent_id Id, volume Resource!, subtract Scalar!',
      UPDATE_MAINTENANCE_SCHEDULE: '! schedule Schedule!',
      START_MAINTENANCE: '! machines MachineId[]',
      STOP_MAINTENANCE: '! machines MachineId[]',
      DRAIN_AGENT: `! ${byAgent}, max_grace_period Duration, mark_gone bool`,
      DEACTIVATE_AGENT: `! ${byAgent}`,
      REACTIVATE_AGENT: `! ${byAgent}`,
      MARK_AGENT_GONE: `! ${byAgent}`,
      SET_QUOTA: '! quota_request QuotaRequest!',
      REMOVE_QUOTA: '! role string!',
      UPDATE_QUOTA: '! force bool, quota_configs QuotaConfig[]',
      TEARDOWN: '! framework_id Id!',
    },
  },
  masterResponse: {
    common: '',
    types: {
      GET_HEALTH: '! healthy bool!',
      GET_FLAGS: '! flags Flag[]',
      GET_VERSION: '! version_info VersionInfo!',
      GET_METRICS: '! metrics Metric[]',
      GET_LOGGING_LEVEL: '! level int32!',
      LIST_FILES: '! file_infos FileInfo[]',
      READ_FILE: '! size int64!, data bytes!',
      GET_STATE: '! get_tasks Tasks, get_executors Executors, get_frameworks Frameworks, get_agents Agents',
      GET_AGENTS: '! agents OperatorAgent[], recovered_agents AgentInfo[]',
      GET_FRAMEWORKS:
        '! frameworks OperatorFramework[], completed_frameworks OperatorFramework[], recovered_frameworks FrameworkInfo[]',
      GET_EXECUTORS: '! executors OperatorExecutor[], orphan_executors OperatorExecutor[]',
      GET_OPERATIONS: '! operations OperationRecord[]',
      GET_TASKS:
        '! pending_tasks Task[], tasks Task[], unreachable_tasks Task[], completed_tasks Task[], orphan_tasks Task[]',
      GET_ROLES: '! roles Role[]',
      GET_WEIGHTS: 'weight_infos WeightInfo[]',
      GET_MASTER: '! master_info MasterInfo, start_time double, elected_time double',
      GET_MAINTENANCE_STATUS: '! status MaintenanceStatus!',
      GET_MAINTENANCE_SCHEDULE: '! schedule Schedule!',
      GET_QUOTA: '! status QuotaStatus!',
    },
  },
  masterEvent: {
    common: '',
    types: {
      SUBSCRIBED: '! get_state State, heartbeat_interval_seconds double',
      HEARTBEAT: '-',
      TASK_ADDED: '! task Task!',
      TASK_UPDATED: '! framework_id Id!, status TaskStatus!, state TaskState!',
      AGENT_ADDED: '! agent OperatorAgent!',
      AGENT_REMOVED: '! agent_id Id!',
      FRAMEWORK_ADDED: '! framework OperatorFramework!',
      FRAMEWORK_UPDATED: '! framework OperatorFramework!',
      FRAMEWORK_REMOVED: '! framework_info FrameworkInfo!',
    },
  },
  agentCall: {
    common: '',
    types: {
      ...withoutBody(
        ...[
          'GET_HEALTH',
          'GET_FLAGS',
          'GET_VERSION',
          'GET_LOGGING_LEVEL',
          'GET_STATE',
          'GET_FRAMEWORKS',
          'GET_EXECUTORS',
        ],
        ...['GET_OPERATIONS', 'GET_TASKS', 'GET_AGENT', 'GET_RESOURCE_PROVIDERS'],
      ),
      GET_METRICS: 'timeout TimeInfo',
      SET_LOGGING_LEVEL: '! level int32!, duration TimeInfo!',
      LIST_FILES: '! path string!',
      READ_FILE: '! path string!, offset int64!, length int64',
      GET_CONTAINERS: 'show_nested bool, show_standalone bool',
    },
  },
  agentResponse: {
    common: '',
    types: {
      GET_HEALTH: '! healthy bool!',
      GET_FLAGS: '! flags Flag[]',
      GET_VERSION: '! version_info VersionInfo!',
      GET_METRICS: '! metrics Metric[]',
      GET_LOGGING_LEVEL: '! level int32!',
      LIST_FILES: '! file_infos FileInfo[]',
      READ_FILE: '! size int64!, data bytes!',
      GET_STATE: '! get_tasks AgentTasks, get_executors AgentExecutors, get_frameworks AgentFrameworks',
      GET_FRAMEWORKS: '! frameworks AgentFramework[], completed_frameworks AgentFramework[]',
      GET_EXECUTORS: '! executors AgentExecutor[], completed_executors AgentExecutor[]',
      GET_OPERATIONS: '! operations OperationRecord[]',
      GET_TASKS:
        '! pending_tasks Task[], queued_tasks Task[], launched_tasks Task[], terminated_tasks Task[], completed_tasks Task[]',
      GET_AGENT: '! agent_info AgentInfo',
      GET_RESOURCE_PROVIDERS: '! resource_providers Opaque[]',
      GET_CONTAINERS: '! containers Container[]',
    },
  },
} as const satisfies Record<string, Api>;

export type ApiName = keyof typeof apis;

/** Messages that only these APIs have. */
export const apiMessages: Readonly<Record<string, string>> = {
  TaskRef: 'task_id Id!, agent_id Id',
  OperationRef: 'operation_id Id!, agent_id Id, resource_provider_id Id',
  Request: 'agent_id Id, resources Resource[]',
  StatusRef: 'status TaskStatus!',
  /** What an agent takes from an executor: it must say that it comes from one, and be acknowledgeable. */
  SentStatus: messages.TaskStatus!.replace(/(source \S+|uuid bytes)(?=,)/g, '$1!'),
  OperatorAgent:
    'agent_info AgentInfo!, active bool!, deactivated bool, version string!, pid string, registered_time TimeInfo, ' +
    'reregistered_time TimeInfo, total_resources Resource[], allocated_resources Resource[], offered_resources Resource[], ' +
    'capabilities Capability[], resource_providers Opaque[], drain_info DrainInfo, estimated_drain_start_time TimeInfo',
  OperatorFramework:
    'framework_info FrameworkInfo!, active bool!, connected bool!, recovered bool!, registered_time TimeInfo, ' +
    'reregistered_time TimeInfo, unregistered_time TimeInfo, offers Offer[], inverse_offers InverseOffer[], ' +
    'allocated_resources Resource[], offered_resources Resource[], offer_constraints OfferConstraints',
  OperatorExecutor: 'executor_info ExecutorInfo!, agent_id Id!',
  AgentFramework: 'framework_info FrameworkInfo!',
  AgentExecutor: 'executor_info ExecutorInfo!',
  Container:
    'framework_id Id, executor_id Id, executor_name string, container_id ContainerId!, container_status ContainerStatus, ' +
    'resource_statistics Opaque',
  State: body('masterResponse', 'GET_STATE'),
  Tasks: body('masterResponse', 'GET_TASKS'),
  Executors: body('masterResponse', 'GET_EXECUTORS'),
  Frameworks: body('masterResponse', 'GET_FRAMEWORKS'),
  Agents: body('masterResponse', 'GET_AGENTS'),
  AgentTasks: body('agentResponse', 'GET_TASKS'),
  AgentExecutors: body('agentResponse', 'GET_EXECUTORS'),
  AgentFrameworks: body('agentResponse', 'GET_FRAMEWORKS'),
};

function withoutBody(...types: readonly string[]): Union {
  return Object.fromEntries(types.map((type) => [type, '-']));
}

function body(api: 'masterResponse' | 'agentResponse', type: string): string {
  return (apis[api].types as Union)[type]!.slice(2);
}
