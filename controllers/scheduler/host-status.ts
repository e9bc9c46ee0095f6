/** How a Host reads: pure, from what Mesos, the ledger and the executor say. */
import { type ConditionDraft, withCondition } from '#lib/api/conditions.ts';
import type { Host } from '#lib/api/generated/host.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { Agent } from './agents.ts';
import { type ExecutorFact, isAlive } from './executor-book.ts';
import type { HostView } from './ledger.ts';
import { guestSizeOf } from './overhead.ts';
import { minus, type Room } from './room.ts';

export interface HostInput {
  readonly host: Host;
  readonly agent: Agent | undefined;
  readonly executor: ExecutorFact | undefined;
  readonly view: HostView | undefined;
  /** uids of our domains there that no machine claims. */
  readonly strays: number;
  readonly executorShare: Room;
  readonly nowMs: number;
  readonly monotonicMs: number;
}

type HostStatus = NonNullable<Host['status']>;

export function hostStatus(input: HostInput): HostStatus {
  const { host, agent, executor, view } = input;
  const old = host.status ?? {};
  const reachable = agent?.active === true;
  const inventoried = view?.host.readiness !== 'NotInventoried';
  const drafts = conditionDrafts(input, reachable, inventoried);
  const generation = host.metadata.generation ?? 1;
  const conditions = drafts.reduce(
    (list, draft) => withCondition(list, draft, generation, input.nowMs),
    old.conditions ?? [],
  );
  return {
    ...old,
    observedGeneration: generation,
    conditions,
    displayStatus: !reachable
      ? 'Unreachable'
      : host.spec.unschedulable
        ? 'Cordoned'
        : inventoried
          ? 'Ready'
          : 'NotInventoried',
    ...(agent ? { agentID: agent.agentId, labels: { ...agent.attributes, ...host.spec.labels } } : {}),
    ...(view ? sizes(view, input.executorShare) : {}),
    ...(executor ? executorFields(executor, input) : {}),
  };
}

function conditionDrafts(
  { executor, monotonicMs, host }: HostInput,
  reachable: boolean,
  inventoried: boolean,
): ConditionDraft[] {
  const alive = isAlive(executor, monotonicMs);
  const ready = reachable && inventoried && !host.spec.unschedulable;
  const why = !reachable ? 'Unreachable' : host.spec.unschedulable ? 'Cordoned' : 'HostNotInventoried';
  return [
    reachable
      ? {
          type: 'Reachable',
          status: 'True',
          reason: 'AgentRegistered',
          message: 'Its Mesos agent is registered and active',
        }
      : {
          type: 'Reachable',
          status: 'False',
          reason: 'AgentUnreachable',
          message: 'No active Mesos agent has this host name',
        },
    inventoried
      ? {
          type: 'Inventoried',
          status: 'True',
          reason: alive ? 'HeartbeatOK' : 'NothingOfOurs',
          message: 'What runs there is known',
        }
      : {
          type: 'Inventoried',
          status: 'False',
          reason: 'ExecutorLost',
          message: 'Machines there wait to be adopted; nothing new starts',
        },
    ready
      ? { type: 'Ready', status: 'True', reason: 'Ready', message: 'Machines can start there' }
      : { type: 'Ready', status: 'False', reason: why, message: 'Nothing new starts there' },
  ];
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
  const { executorVersion: version, since, console, facts } = heartbeat;
  return {
    bootID: heartbeat.bootId,
    executor: { id: executor.executorId, version, since, ...(console ? { consoleURL: console.url } : {}) },
    lastHeartbeat: timestamp(nowMs - (monotonicMs - executor.heardMs)),
    facts,
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
