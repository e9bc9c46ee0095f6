/** The agents that are registered with the master now, by host name. Agent ids change when a host is set up anew; names stay. */
import type { OperatorAgent } from '#mesos/operator-types.ts';
import { roleOf, sumMilli } from '#mesos/resources.ts';
import type { Attribute } from '#mesos/types.ts';
import type { Room } from './room.ts';

export interface Agent {
  readonly hostname: string;
  readonly agentId: string;
  /** Connected: its tasks can be told something. */
  readonly active: boolean;
  /** An operator of Mesos lets nothing new start there: deactivated or drained. */
  readonly isDeactivated: boolean;
  /** All its tasks are ended by Mesos, or have been. */
  readonly isDraining: boolean;
  readonly isDrained: boolean;
  /** IP address, as it registered. */
  readonly address: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  /** What is ours to use: unreserved, or reserved for our role. */
  readonly total: Room;
  /** Monotonic: since when the host has had this agent id. */
  readonly sinceMs: number;
}

export function attributeLabels(attributes: readonly Attribute[] | undefined): Readonly<Record<string, string>> {
  const entries = (attributes ?? []).flatMap(({ name, text, scalar }): [string, string][] => {
    const value = text?.value ?? (scalar === undefined ? undefined : String(scalar.value));
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}

function agentOf(
  { agent_info, active, deactivated = false, drain_info, pid, total_resources }: OperatorAgent,
  role: string,
  sinceMs: number,
): Agent {
  const ours = (resource: Parameters<typeof roleOf>[0]) => ['*', role].includes(roleOf(resource));
  return {
    hostname: agent_info.hostname,
    agentId: agent_info.id.value,
    // A master calls a deactivated agent inactive, connected or not.
    active: active !== false || deactivated,
    isDeactivated: deactivated,
    isDraining: drain_info?.state === 'DRAINING' || drain_info?.state === 'DRAINED',
    isDrained: drain_info?.state === 'DRAINED',
    address: /@(.*):\d+$/.exec(pid ?? '')?.[1],
    attributes: attributeLabels(agent_info.attributes),
    total: { cpu: sumMilli(total_resources, 'cpus', ours), mem: sumMilli(total_resources, 'mem', ours) },
    sinceMs,
  };
}

export class AgentBook {
  readonly #role: string;
  #agents = new Map<string, Agent>();
  /** agent id -> host name */
  #names = new Map<string, string>();

  constructor(role: string) {
    this.#role = role;
  }

  get(hostname: string): Agent | undefined {
    return this.#agents.get(hostname);
  }

  hostname(agentId: string): string | undefined {
    return this.#names.get(agentId);
  }

  isRegistered(agentId: string): boolean {
    return this.#names.has(agentId);
  }

  all(): readonly Agent[] {
    return [...this.#agents.values()];
  }

  /** The answer of GET_AGENTS. Gives the names of hosts that came, went or have another agent. */
  replace(agents: readonly OperatorAgent[], nowMs: number): readonly string[] {
    const next = new Map<string, Agent>();
    for (const agent of agents) {
      const old = this.#agents.get(agent.agent_info.hostname);
      const sinceMs = old?.agentId === agent.agent_info.id.value ? old.sinceMs : nowMs;
      next.set(agent.agent_info.hostname, agentOf(agent, this.#role, sinceMs));
    }
    const names = new Set([...next.keys(), ...this.#agents.keys()]);
    const changed = [...names].filter((name) => this.#agents.get(name)?.agentId !== next.get(name)?.agentId);
    this.#agents = next;
    this.#names = new Map([...next.values()].map(({ agentId, hostname }) => [agentId, hostname]));
    return changed;
  }
}
