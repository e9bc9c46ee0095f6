/** How a Host reads: pure, from what Mesos, the ledger and the executor say. */
import { withConditions } from '#lib/api/conditions.ts';
import type { Host } from '#lib/api/generated/host.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { Agent } from './agents.ts';
import type { HostDrain, Window } from './drain.ts';
import type { Left } from './drains.ts';
import type { ExecutorFact } from './executor-book.ts';
import { conditionsOf, standingOf } from './host-conditions.ts';
import type { HostView } from './ledger.ts';
import { reachOf, writtenReach } from './needs.ts';
import { guestSizeOf } from './overhead.ts';
import { minus, type Room } from './room.ts';

export interface HostInput {
  readonly host: Host;
  readonly agent: Agent | undefined;
  readonly executor: ExecutorFact | undefined;
  readonly view: HostView | undefined;
  readonly drain: HostDrain | undefined;
  /** Machines that are not proven gone, those that hold a drain up first. */
  readonly left: readonly Left[];
  /** Planned maintenance that is not over. */
  readonly window: Window | undefined;
  /** It begins too soon for a new machine. */
  readonly soon: boolean;
  /** How long before it the host is emptied. */
  readonly noticeMs: number;
  /** Left alone after failures, until then (milliseconds since 1970). */
  readonly suspect: { readonly failures: number; readonly reason: string; readonly until: number } | undefined;
  /** Failures since the last launch that went well. */
  readonly score: number;
  /** Why Mesos would not drain its agent, or reactivate it. */
  readonly refusal: string | undefined;
  /** uids of our domains there that no machine claims. */
  readonly strays: number;
  readonly executorShare: Room;
  readonly nowMs: number;
  readonly monotonicMs: number;
}

type HostStatus = NonNullable<Host['status']>;

export function hostStatus(input: HostInput): HostStatus {
  const { host, agent, executor, view } = input;
  const { drain: _, maintenance: __, ...old } = host.status ?? {};
  const generation = host.metadata.generation ?? 1;
  return {
    ...old,
    observedGeneration: generation,
    conditions: withConditions(old.conditions ?? [], conditionsOf(input), generation, input.nowMs),
    displayStatus: standingOf(input).word,
    ...(agent ? { agentID: agent.agentId, labels: { ...agent.attributes, ...host.spec.labels } } : {}),
    ...(view ? sizes(view, input.executorShare) : {}),
    ...(executor ? executorFields(executor, input) : {}),
    ...drainFields(input),
    score: input.score,
  };
}

const examplesMax = 10;

function drainFields({ agent, host, drain, left, window }: HostInput): Partial<HostStatus> {
  const end = window && Number.isFinite(window.endMs) ? { end: timestamp(window.endMs) } : {};
  const maintenance = window && { start: timestamp(window.startMs), ...end };
  // Until the agent is reactivated, which is ours to do.
  const isOurs = host.status?.drain?.agentDrained === true && (host.spec.drain || agent?.isDeactivated !== false);
  const agentDrained = isOurs ? { agentDrained: true } : {};
  const deadline = drain?.deadlineMs === undefined ? {} : { deadline: timestamp(drain.deadlineMs) };
  const examples = left.slice(0, examplesMax).map(({ machine, why }) => ({ machine, why: why.slice(0, 512) }));
  const progress = drain && { cause: drain.cause, ...deadline, left: left.length, examples };
  return {
    ...(maintenance && { maintenance }),
    ...((progress || isOurs) && { drain: { ...progress, ...agentDrained } }),
  };
}

function sizes(view: HostView, share: Room): Partial<HostStatus> {
  const whole = minus(minus(view.host.total, share), view.host.foreign);
  const capacity = guestSizeOf(whole);
  const free = guestSizeOf(view.free);
  const used = { cores: capacity.cores - free.cores, memoryMiB: capacity.memoryMiB - free.memoryMiB };
  return { capacity, used, vms: view.machines };
}

function executorFields(executor: ExecutorFact, { nowMs, monotonicMs, strays }: HostInput): Partial<HostStatus> {
  const { heartbeat, inventory } = executor;
  const { executorVersion: version, supervisorVersion: supervisor, since, console } = heartbeat;
  const { segments: _, ...facts } = heartbeat.facts;
  return {
    bootID: heartbeat.bootId,
    executor: {
      ...{ id: executor.executorId, version, since },
      ...(supervisor === undefined ? {} : { supervisor }),
      ...(console ? { consoleURL: console.url } : {}),
    },
    lastHeartbeat: timestamp(nowMs - (monotonicMs - executor.heardMs)),
    facts: { ...facts, ...writtenReach(reachOf(heartbeat)) },
    ...(inventory
      ? {
          inventory: {
            domains: inventory.content.domains.length,
            foreignDomains: inventory.content.foreign.count,
            orphanDomains: strays,
            images: inventory.content.images.length,
          },
        }
      : {}),
  };
}
