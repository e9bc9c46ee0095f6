/**
 * What a master knows. All of it is touched only by synchronous functions of this folder, so every call and every message is one
 * step. Lost with the process, except for the registry.
 */
import type {
  AgentInfo,
  ExecutorInfo,
  FrameworkInfo,
  MasterInfo,
  OperationStatus,
  SchedulerEvent,
} from '#mesos/types.ts';
import type { RecordStream } from '../http.ts';
import type { MasterMessage, Task } from '../protocol.ts';
import { type Bag, emptyBag } from '../resources.ts';
import type { Allocator } from './allocator.ts';
import type { Leadership } from './leadership.ts';
import type { Wants } from './offer-constraints.ts';
import type { OperatorFeed } from './operator-feed.ts';
import type { MasterOptions } from './options.ts';
import type { Registry } from './registry.ts';

/** One subscription of a scheduler: ends with the connection or when another SUBSCRIBE takes over. */
export interface SchedulerSession {
  readonly streamId: string;
  readonly stream: RecordStream<SchedulerEvent>;
  heartbeat: Disposable;
}

export interface OfferFilter {
  /** Offers with no more than this are not made again ... */
  readonly refused: Bag;
  /** ... until this moment of the monotonic clock. */
  readonly until: number;
}

export interface Offer {
  readonly id: string;
  readonly framework: Framework;
  readonly agent: Agent;
  readonly role: string;
  readonly bag: Bag;
  timeout: Disposable | undefined;
}

export interface Framework {
  readonly id: string;
  info: FrameworkInfo;
  capabilities: ReadonlySet<string>;
  roles: readonly string[];
  suppressed: Set<string>;
  /** By role: of which agents it wants offers at all. */
  constraints: ReadonlyMap<string, Wants>;
  /** By role: how often the allocator gave it something. */
  readonly grants: Map<string, number>;
  /** Undefined: not connected. */
  session: SchedulerSession | undefined;
  /** True: known from an agent only, since this master started. */
  recovered: boolean;
  /** Milliseconds since 1970. */
  registeredAt: number;
  reregisteredAt: number | undefined;
  failover: Disposable | undefined;
  readonly tasks: Map<string, Task>;
  readonly unreachable: Map<string, Task>;
  completed: Task[];
  readonly offers: Set<Offer>;
  /** By filterKey(role, agent id). */
  readonly filters: Map<string, OfferFilter[]>;
  /** By role: what is used or offered. The allocator's measure of a fair share. */
  readonly allocated: Map<string, Bag>;
  /** Operations with an id whose end was not acknowledged, by that id. */
  readonly operations: Map<string, { readonly info: object; readonly status: OperationStatus }>;
}

/** What a framework was asked and answered about an agent's maintenance. */
export interface InverseBook {
  readonly offerId: string | undefined;
  /** Not asked again before, by the monotonic clock. */
  readonly filteredUntil?: number;
  readonly answer?: { readonly status: 'ACCEPT' | 'DECLINE'; readonly at: number };
}

/** A connection of an agent: ends with the stream or when the agent registers again. */
export interface AgentSession {
  readonly id: string;
  readonly stream: RecordStream<MasterMessage>;
}

export interface Agent {
  readonly id: string;
  info: AgentInfo;
  total: Bag;
  /** Total without what tasks and executors use and what is offered. */
  free: Bag;
  session: AgentSession | undefined;
  pinger: Disposable;
  missedPongs: number;
  registeredAt: number;
  reregisteredAt: number | undefined;
  /** By framework id, then task id. Includes terminal tasks whose last update was not acknowledged. */
  readonly tasks: Map<string, Map<string, Task>>;
  /** By framework id, then executor id; without those of command tasks, of which a master knows nothing. */
  readonly executors: Map<string, Map<string, ExecutorInfo>>;
  readonly offers: Set<Offer>;
  /** Kills of tasks that did not end yet, by framework id, then task id: sent again when the agent registers again. */
  readonly kills: Map<string, Map<string, MasterMessage>>;
  /** By framework id. */
  readonly inverse: Map<string, InverseBook>;
}

export interface Master {
  readonly id: string;
  info: MasterInfo;
  readonly options: MasterOptions;
  /** Milliseconds since 1970, as all moments here. */
  readonly startedAt: number;
  electedAt: number;
  /** Undefined: this master is the only one. */
  readonly leadership: Leadership | undefined;
  readonly frameworks: Map<string, Framework>;
  /** Removed frameworks, oldest first: their ids are refused for ever, as far as this master remembers. */
  readonly completed: Map<string, Framework>;
  readonly agents: Map<string, Agent>;
  /** Agents of the registry that did not come back since this master started, with the timer that gives them up. */
  readonly recovered: Map<string, { readonly info: AgentInfo; readonly timer: Disposable }>;
  readonly offers: Map<string, Offer>;
  readonly registry: Registry;
  readonly allocator: Allocator;
  readonly operators: OperatorFeed;
  /** How many calls of each type came, of schedulers and operators. */
  readonly calls: Map<string, number>;
  nextFramework: number;
  nextAgent: number;
  nextOffer: number;
}

export function newFramework(id: string, info: FrameworkInfo, now: number): Framework {
  return {
    id,
    info,
    capabilities: new Set((info.capabilities ?? []).map((capability) => capability.type)),
    roles: rolesOf(info),
    suppressed: new Set(),
    constraints: new Map(),
    grants: new Map(),
    session: undefined,
    recovered: false,
    registeredAt: now,
    reregisteredAt: undefined,
    failover: undefined,
    tasks: new Map(),
    unreachable: new Map(),
    completed: [],
    offers: new Set(),
    filters: new Map(),
    allocated: new Map(),
    operations: new Map(),
  };
}

/** Without MULTI_ROLE a framework has the one role `role`, which is `*` unless set. */
export function rolesOf(info: FrameworkInfo & { readonly role?: string }): readonly string[] {
  const multi = info.capabilities?.some((capability) => capability.type === 'MULTI_ROLE');
  return multi ? (info.roles ?? []) : [info.role ?? '*'];
}

export function isPartitionAware(framework: Framework): boolean {
  return framework.capabilities.has('PARTITION_AWARE');
}

export function countCall({ calls }: Master, type: string): void {
  calls.set(type, (calls.get(type) ?? 0) + 1);
}

/** An event for a scheduler that is not connected is lost: Mesos keeps none. */
export function sendEvent(framework: Framework, event: SchedulerEvent): void {
  framework.session?.stream.send(event);
}

export function sendToAgent(agent: Agent, message: MasterMessage): void {
  agent.session?.stream.send(message);
}

export function newAgent(id: string, info: AgentInfo, total: Bag, pinger: Disposable, now: number): Agent {
  return {
    id,
    info,
    total,
    free: total,
    session: undefined,
    pinger,
    missedPongs: 0,
    registeredAt: now,
    reregisteredAt: undefined,
    tasks: new Map(),
    executors: new Map(),
    offers: new Set(),
    kills: new Map(),
    inverse: new Map(),
  };
}

/** The inner map of a map of maps, made when it is not there. */
export function within<K, V>(outer: Map<string, Map<K, V>>, key: string): Map<K, V> {
  let inner = outer.get(key);
  if (inner === undefined) {
    inner = new Map();
    outer.set(key, inner);
  }
  return inner;
}

/** Removes an entry of a map of maps, and the inner map with its last one. */
export function removeWithin<K, V>(outer: Map<string, Map<K, V>>, key: string, innerKey: K): V | undefined {
  const inner = outer.get(key);
  const value = inner?.get(innerKey);
  inner?.delete(innerKey);
  if (inner?.size === 0) outer.delete(key);
  return value;
}

export function allocatedOf(framework: Framework, role: string): Bag {
  return framework.allocated.get(role) ?? emptyBag;
}
