/**
 * The v1 API's messages as Mesos 1.12 writes them in JSON: snake_case names, bytes in base64, 64-bit integers as numbers, enums as
 * words. Only what we read or write is named; Mesos ignores unknown fields and so do we.
 * Source: include/mesos/v1/{mesos,scheduler/scheduler,executor/executor}.proto, and recordings of a real master and agent.
 */
export interface Value<T> {
  readonly value: T;
}
export type Id = Value<string>;

export interface Scalar {
  readonly value: number;
}
export interface Label {
  readonly key: string;
  readonly value?: string;
}
export interface Labels {
  readonly labels: readonly Label[];
}

export interface Resource {
  readonly name: string;
  readonly type: 'SCALAR' | 'RANGES' | 'SET';
  readonly scalar?: Scalar;
  readonly ranges?: { readonly range: readonly { readonly begin: number; readonly end: number }[] };
  readonly set?: { readonly item: readonly string[] };
  readonly role?: string;
  readonly allocation_info?: { readonly role: string };
  readonly reservations?: readonly {
    readonly type: 'STATIC' | 'DYNAMIC';
    readonly role: string;
    readonly principal?: string;
    readonly labels?: Labels;
  }[];
  /** Of a dynamic reservation, in the format without `reservations`. */
  readonly reservation?: { readonly principal?: string; readonly labels?: Labels };
  readonly disk?: {
    readonly persistence?: { readonly id: string; readonly principal?: string };
    readonly volume?: { readonly container_path: string; readonly mode: 'RW' | 'RO' };
  };
  readonly revocable?: object;
}

export interface Attribute {
  readonly name: string;
  readonly type: 'SCALAR' | 'RANGES' | 'SET' | 'TEXT';
  readonly scalar?: Scalar;
  readonly text?: { readonly value: string };
  readonly set?: { readonly item: readonly string[] };
}

export interface CommandInfo {
  readonly shell?: boolean;
  readonly value?: string;
  readonly arguments?: readonly string[];
  readonly user?: string;
  readonly environment?: {
    readonly variables: readonly { readonly name: string; readonly type?: 'VALUE'; readonly value: string }[];
  };
  readonly uris?: readonly { readonly value: string; readonly executable?: boolean; readonly extract?: boolean }[];
}

/** Amounts of scalars by name, all of which are meant. */
export interface Quantities {
  readonly quantities?: Readonly<Record<string, { readonly value: number }>>;
}

export interface FrameworkInfo {
  readonly user: string;
  readonly name: string;
  readonly id?: Id;
  readonly failover_timeout?: number;
  readonly checkpoint?: boolean;
  readonly hostname?: string;
  readonly principal?: string;
  readonly roles?: readonly string[];
  readonly capabilities?: readonly { readonly type: string }[];
  readonly labels?: Labels;
  /** By role: offers with less than one of these are not made. */
  readonly offer_filters?: Readonly<
    Record<string, { readonly min_allocatable_resources?: { readonly quantities?: readonly Quantities[] } }>
  >;
}

export interface ExecutorInfo {
  readonly type?: 'CUSTOM' | 'DEFAULT';
  readonly executor_id: Id;
  readonly framework_id?: Id;
  readonly command?: CommandInfo;
  readonly resources?: readonly Resource[];
  readonly name?: string;
  readonly source?: string;
  readonly data?: string;
  readonly labels?: Labels;
  readonly shutdown_grace_period?: { readonly nanoseconds: number };
}

export interface TaskInfo {
  readonly name: string;
  readonly task_id: Id;
  readonly agent_id: Id;
  readonly resources?: readonly Resource[];
  readonly executor?: ExecutorInfo;
  readonly command?: CommandInfo;
  /** base64 */
  readonly data?: string;
  readonly labels?: Labels;
  readonly kill_policy?: { readonly grace_period?: { readonly nanoseconds: number } };
}

export const terminalStates = [
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
] as const;
export type TaskState =
  | (typeof terminalStates)[number]
  | 'TASK_STAGING'
  | 'TASK_STARTING'
  | 'TASK_RUNNING'
  | 'TASK_KILLING'
  | 'TASK_UNREACHABLE'
  | 'TASK_UNKNOWN';

/** Terminal for Mesos. Says nothing about a domain of libvirt (docs/architecture.md, "What proves that an attempt is gone"). */
export function isTerminal(state: TaskState): boolean {
  return (terminalStates as readonly string[]).includes(state);
}

export interface TaskStatus {
  readonly task_id: Id;
  readonly state: TaskState;
  readonly agent_id?: Id;
  readonly executor_id?: Id;
  readonly message?: string;
  readonly source?: 'SOURCE_MASTER' | 'SOURCE_AGENT' | 'SOURCE_EXECUTOR';
  readonly reason?: string;
  /** base64 */
  readonly data?: string;
  /** base64 of 16 bytes; absent: made by the master, must not be acknowledged. */
  readonly uuid?: string;
  /** Seconds since 1970. */
  readonly timestamp?: number;
  readonly healthy?: boolean;
  readonly labels?: Labels;
  readonly container_status?: object;
  readonly unreachable_time?: { readonly nanoseconds: number };
}

export interface Offer {
  readonly id: Id;
  readonly framework_id: Id;
  readonly agent_id: Id;
  readonly hostname: string;
  readonly url?: object;
  readonly resources?: readonly Resource[];
  readonly attributes?: readonly Attribute[];
  readonly executor_ids?: readonly Id[];
  readonly allocation_info?: { readonly role: string };
  readonly unavailability?: Unavailability;
}

export interface AgentInfo {
  readonly id?: Id;
  readonly hostname: string;
  readonly port?: number;
  readonly resources?: readonly Resource[];
  readonly attributes?: readonly Attribute[];
  readonly checkpoint?: boolean;
}

export interface MasterInfo {
  readonly id: string;
  readonly ip?: number;
  readonly port: number;
  readonly pid?: string;
  readonly hostname?: string;
  readonly version?: string;
  readonly address?: { readonly hostname?: string; readonly ip?: string; readonly port: number };
}

/** A stretch of time in which a machine is planned to be away; without duration for ever. bigint where a number would be rounded. */
export interface Unavailability {
  readonly start: { readonly nanoseconds: number | bigint };
  readonly duration?: { readonly nanoseconds: number | bigint };
}

export interface InverseOffer {
  readonly id: Id;
  readonly framework_id: Id;
  readonly agent_id?: Id;
  readonly url?: object;
  readonly unavailability: Unavailability;
  readonly resources?: readonly Resource[];
}

/** How an operation of ACCEPT that had an id went. With `uuid` it must be acknowledged. */
export interface OperationStatus {
  readonly operation_id?: Id;
  readonly state: string;
  readonly message?: string;
  readonly uuid?: { readonly value: string };
  readonly agent_id?: Id;
}

export interface Filters {
  readonly refuse_seconds?: number;
}

export type Operation =
  | { readonly type: 'LAUNCH'; readonly launch: { readonly task_infos: readonly TaskInfo[] } }
  | {
      readonly type: 'LAUNCH_GROUP';
      readonly launch_group: {
        readonly executor: ExecutorInfo;
        readonly task_group: { readonly tasks: readonly TaskInfo[] };
      };
    }
  | {
      readonly type: 'RESERVE' | 'UNRESERVE' | 'CREATE' | 'DESTROY';
      readonly id?: Id;
      readonly [key: string]: unknown;
    };

/** Holds for agents of which it is true: exactly one field is set. `regex` is RE2's, over the whole text. */
export interface AttributePredicate {
  readonly exists?: Readonly<Record<string, never>>;
  readonly not_exists?: Readonly<Record<string, never>>;
  readonly text_equals?: { readonly value: string };
  readonly text_not_equals?: { readonly value: string };
  readonly text_matches?: { readonly regex: string };
  readonly text_not_matches?: { readonly regex: string };
}

export interface AttributeConstraint {
  readonly selector: {
    readonly attribute_name?: string;
    readonly pseudoattribute_type?: 'HOSTNAME' | 'REGION' | 'ZONE';
  };
  readonly predicate: AttributePredicate;
}

/** Of which agents a framework wants offers, by role: those for which all constraints of one group hold. Mesos 1.11. */
export interface OfferConstraints {
  readonly role_constraints?: Readonly<
    Record<string, { readonly groups?: readonly { readonly attribute_constraints?: readonly AttributeConstraint[] }[] }>
  >;
}

/** POST /api/v1/scheduler */
export type SchedulerCall =
  | {
      readonly type: 'SUBSCRIBE';
      readonly framework_id?: Id;
      readonly subscribe: {
        readonly framework_info: FrameworkInfo;
        readonly suppressed_roles?: readonly string[];
        readonly offer_constraints?: OfferConstraints;
      };
    }
  | { readonly type: 'TEARDOWN'; readonly framework_id: Id }
  | {
      readonly type: 'ACCEPT';
      readonly framework_id: Id;
      readonly accept: {
        readonly offer_ids: readonly Id[];
        readonly operations: readonly Operation[];
        readonly filters?: Filters;
      };
    }
  | {
      readonly type: 'DECLINE';
      readonly framework_id: Id;
      readonly decline: { readonly offer_ids: readonly Id[]; readonly filters?: Filters };
    }
  | { readonly type: 'REVIVE'; readonly framework_id: Id; readonly revive?: { readonly roles?: readonly string[] } }
  | { readonly type: 'SUPPRESS'; readonly framework_id: Id; readonly suppress?: { readonly roles?: readonly string[] } }
  | {
      readonly type: 'KILL';
      readonly framework_id: Id;
      readonly kill: {
        readonly task_id: Id;
        readonly agent_id?: Id;
        readonly kill_policy?: { readonly grace_period?: { readonly nanoseconds: number } };
      };
    }
  | {
      readonly type: 'SHUTDOWN';
      readonly framework_id: Id;
      readonly shutdown: { readonly executor_id: Id; readonly agent_id: Id };
    }
  | {
      readonly type: 'ACKNOWLEDGE';
      readonly framework_id: Id;
      readonly acknowledge: { readonly agent_id: Id; readonly task_id: Id; readonly uuid: string };
    }
  | {
      readonly type: 'RECONCILE';
      readonly framework_id: Id;
      readonly reconcile: { readonly tasks: readonly { readonly task_id: Id; readonly agent_id?: Id }[] };
    }
  | {
      readonly type: 'MESSAGE';
      readonly framework_id: Id;
      readonly message: { readonly agent_id: Id; readonly executor_id: Id; readonly data: string };
    }
  | {
      readonly type: 'ACCEPT_INVERSE_OFFERS';
      readonly framework_id: Id;
      readonly accept_inverse_offers: { readonly inverse_offer_ids: readonly Id[]; readonly filters?: Filters };
    }
  | {
      readonly type: 'DECLINE_INVERSE_OFFERS';
      readonly framework_id: Id;
      readonly decline_inverse_offers: { readonly inverse_offer_ids: readonly Id[]; readonly filters?: Filters };
    }
  | {
      readonly type: 'ACKNOWLEDGE_OPERATION_STATUS';
      readonly framework_id: Id;
      /** `uuid` is the value alone, not the object that the event has. */
      readonly acknowledge_operation_status: {
        readonly agent_id?: Id;
        readonly uuid: string;
        readonly operation_id: Id;
      };
    }
  | {
      readonly type: 'RECONCILE_OPERATIONS';
      readonly framework_id: Id;
      readonly reconcile_operations: {
        readonly operations?: readonly { readonly operation_id: Id; readonly agent_id?: Id }[];
      };
    }
  | {
      readonly type: 'REQUEST';
      readonly framework_id: Id;
      readonly request: {
        readonly requests: readonly { readonly agent_id?: Id; readonly resources: readonly Resource[] }[];
      };
    }
  | {
      readonly type: 'UPDATE_FRAMEWORK';
      readonly framework_id: Id;
      readonly update_framework: {
        readonly framework_info: FrameworkInfo;
        readonly suppressed_roles?: readonly string[];
        readonly offer_constraints?: OfferConstraints;
      };
    };

export type SchedulerEvent =
  | {
      readonly type: 'SUBSCRIBED';
      readonly subscribed: {
        readonly framework_id: Id;
        readonly heartbeat_interval_seconds?: number;
        readonly master_info?: MasterInfo;
      };
    }
  | { readonly type: 'OFFERS'; readonly offers: { readonly offers: readonly Offer[] } }
  | { readonly type: 'RESCIND'; readonly rescind: { readonly offer_id: Id } }
  | { readonly type: 'INVERSE_OFFERS'; readonly inverse_offers: { readonly inverse_offers: readonly InverseOffer[] } }
  | { readonly type: 'RESCIND_INVERSE_OFFER'; readonly rescind_inverse_offer: { readonly inverse_offer_id: Id } }
  | { readonly type: 'UPDATE'; readonly update: { readonly status: TaskStatus } }
  | {
      readonly type: 'UPDATE_OPERATION_STATUS';
      readonly update_operation_status: { readonly status: OperationStatus };
    }
  | {
      readonly type: 'MESSAGE';
      readonly message: { readonly agent_id: Id; readonly executor_id: Id; readonly data: string };
    }
  | {
      readonly type: 'FAILURE';
      readonly failure: { readonly agent_id?: Id; readonly executor_id?: Id; readonly status?: number };
    }
  | { readonly type: 'ERROR'; readonly error: { readonly message: string } }
  | { readonly type: 'HEARTBEAT' };

/** POST /api/v1/executor on the agent */
export type ExecutorCall =
  | {
      readonly type: 'SUBSCRIBE';
      readonly framework_id: Id;
      readonly executor_id: Id;
      readonly subscribe: {
        readonly unacknowledged_tasks: readonly TaskInfo[];
        readonly unacknowledged_updates: readonly { readonly status: TaskStatus }[];
      };
    }
  | {
      readonly type: 'UPDATE';
      readonly framework_id: Id;
      readonly executor_id: Id;
      readonly update: { readonly status: TaskStatus };
    }
  | {
      readonly type: 'MESSAGE';
      readonly framework_id: Id;
      readonly executor_id: Id;
      readonly message: { readonly data: string };
    }
  | { readonly type: 'HEARTBEAT'; readonly framework_id: Id; readonly executor_id: Id };

export type ExecutorEvent =
  | {
      readonly type: 'SUBSCRIBED';
      readonly subscribed: {
        readonly executor_info: ExecutorInfo;
        readonly framework_info: FrameworkInfo;
        readonly agent_info: AgentInfo;
        readonly container_id?: Id;
      };
    }
  | { readonly type: 'LAUNCH'; readonly launch: { readonly task: TaskInfo } }
  | {
      readonly type: 'LAUNCH_GROUP';
      readonly launch_group: { readonly task_group: { readonly tasks: readonly TaskInfo[] } };
    }
  | {
      readonly type: 'KILL';
      readonly kill: {
        readonly task_id: Id;
        readonly kill_policy?: { readonly grace_period?: { readonly nanoseconds: number } };
      };
    }
  | { readonly type: 'ACKNOWLEDGED'; readonly acknowledged: { readonly task_id: Id; readonly uuid: string } }
  | { readonly type: 'MESSAGE'; readonly message: { readonly data: string } }
  | { readonly type: 'SHUTDOWN' }
  | { readonly type: 'ERROR'; readonly error: { readonly message: string } }
  | { readonly type: 'HEARTBEAT' };
