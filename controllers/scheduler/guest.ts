/** What the agent in a guest says of it, and what probes found, as the machine's status shows it. Pure. */
import { type ConditionDraft, conditionOf } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { AgentReport, ProbeReport } from '#lib/api/messages.ts';
import { sameJson } from '#lib/std/same-json.ts';
import type { MachineStatus } from './attempt.ts';

type Network = NonNullable<MachineStatus['networks']>[number];

/** The same object if nothing of it is new. What the guest is stays known when its agent is gone; what it has is not. */
export function withGuest(before: MachineStatus, agent: AgentReport | undefined): MachineStatus {
  if (agent === undefined) return before;
  if (!agent.connected) return withoutAgent(before);
  const { version, os, kernel, hostname, addresses } = agent;
  const osInfo = { ...(os && { name: os }), ...(kernel && { kernel }), ...(hostname && { hostname }) };
  const ips = new Map(addresses.map((each) => [each.mac, each.ips]));
  const after = {
    ...before,
    guestAgent: { version },
    ...(Object.keys(osInfo).length > 0 && { osInfo }),
    ...(before.networks && {
      networks: before.networks.map((network) => withIPs(network, ips.get(network.mac ?? ''))),
    }),
  };
  return sameJson(before, after) ? before : after;
}

/** Of a machine that is off, or whose agent does not answer. */
export function withoutAgent(before: MachineStatus): MachineStatus {
  if (before.guestAgent === undefined && !before.networks?.some(({ guestIPs }) => guestIPs)) return before;
  const { guestAgent: _, ...rest } = before;
  return { ...rest, ...(rest.networks && { networks: rest.networks.map((network) => withIPs(network, undefined)) }) };
}

function withIPs({ guestIPs: _, ...network }: Network, ips: readonly string[] | undefined): Network {
  return ips === undefined ? network : { ...network, guestIPs: ips };
}

/** Only on machines whose agent was ever heard: on all others it would be written for nothing. `away`: why nothing is known. */
export function agentCondition(
  vm: VirtualMachine,
  agent: AgentReport | undefined,
  away: string | undefined,
): readonly ConditionDraft[] {
  const type = 'GuestAgentConnected';
  if (!away && agent?.connected)
    return [{ type, status: 'True', reason: 'AgentPing', message: `The guest agent ${agent.version} answers` }];
  if (!conditionOf(vm, type)) return [];
  if (away) return [{ type, status: 'Unknown', reason: 'Booting', message: away }];
  return [{ type, status: 'False', reason: 'Booting', message: 'The guest agent does not answer' }];
}

/** Whether GuestReady is what a probe says. Until a guest has started it is not ready either. */
export function isProbed({ probes }: VirtualMachine['spec']): boolean {
  return probes?.readiness !== undefined || probes?.startup !== undefined;
}

/** GuestReady of a machine that runs and is probed. */
export function probeCondition(vm: VirtualMachine, found: ProbeReport | undefined): ConditionDraft {
  const type = 'GuestReady';
  const succeeded = vm.spec.probes?.readiness?.guestAgent ? 'AgentPing' : 'ProbeSucceeded';
  if (found?.ready) return { type, status: 'True', reason: succeeded, message: found.message };
  if (found) return { type, status: 'False', reason: 'ProbeFailed', message: found.message };
  // Another worker on the host has nothing to tell until it has tried.
  const said = conditionOf(vm, type);
  if (said && [succeeded, 'ProbeFailed'].includes(said.reason))
    return { type, status: said.status, reason: said.reason, message: said.message };
  const message = 'The guest was not probed yet. A probe that was changed holds from the next launch of the machine on';
  return { type, status: 'False', reason: 'Booting', message };
}
