/** What the agent in a guest says of it, and what probes found, as the machine's status shows it. Pure. */
import { isIPv4 } from 'node:net';
import { type ConditionDraft, conditionOf } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { contains, parseCidr, parseIPv4 } from '#lib/api/ipv4.ts';
import type { AgentReport, ProbeReport } from '#lib/api/messages.ts';
import { sameJson } from '#lib/std/same-json.ts';
import type { MachineStatus } from './attempt.ts';

type Network = NonNullable<MachineStatus['networks']>[number];
type GuestStatus = Pick<MachineStatus, 'ip' | 'networks'>;

/** The same object if nothing of it is new. What the guest is stays known when its agent is gone; what it has is not. */
export function withGuest(before: MachineStatus, agent: AgentReport | undefined): MachineStatus {
  if (agent === undefined) return before;
  if (!agent.connected) return withoutAgent(before);
  const { version, os, kernel, hostname, addresses } = agent;
  const osInfo = { ...(os && { name: os }), ...(kernel && { kernel }), ...(hostname && { hostname }) };
  const ips = new Map(addresses.map((each) => [each.mac, each.ips]));
  const after = {
    ...withoutIP(before),
    guestAgent: { version },
    ...(Object.keys(osInfo).length > 0 && { osInfo }),
    ...withNetworks(before, (mac) => ips.get(mac)),
  };
  return sameJson(before, after) ? before : after;
}

/** Of a machine that is off, or whose agent does not answer. */
export function withoutAgent(before: MachineStatus): MachineStatus {
  if (before.guestAgent === undefined && !before.networks?.some(({ guestIPs }) => guestIPs)) return before;
  const { guestAgent: _, ...rest } = before;
  return { ...withoutIP(rest), ...withNetworks(rest, () => undefined) };
}

/** `ipsOf`: what the guest says that it has at the interface with this MAC. */
function withNetworks({ networks }: MachineStatus, ipsOf: (mac: string) => readonly string[] | undefined): GuestStatus {
  if (networks === undefined) return {};
  const now = networks.map((network) => withIPs(network, ipsOf(network.mac ?? '')));
  const [first] = now;
  return { networks: now, ...(first?.ipam === 'External' && first.ip !== undefined && { ip: first.ip }) };
}

/** Where the first address is the site's to give it is only what the guest says now. */
function withoutIP({ ip, ...status }: MachineStatus): MachineStatus {
  return ip === undefined || status.networks?.[0]?.ipam === 'External' ? status : { ...status, ip };
}

function withIPs({ guestIPs: _, ...network }: Network, ips: readonly string[] | undefined): Network {
  const said = ips === undefined ? {} : { guestIPs: ips };
  if (network.ipam !== 'External') return { ...network, ...said };
  const { ip: before, ...rest } = network;
  const ip = addressAmong(network, ips ?? [], before);
  return { ...rest, ...(ip !== undefined && { ip }), ...said };
}

/** Of the Subnet's network, and the same as before while it is there: a guest may have many. */
function addressAmong({ cidr }: Network, ips: readonly string[], before: string | undefined): string | undefined {
  if (before !== undefined && ips.includes(before)) return before;
  const network = cidr === undefined ? undefined : parseCidr(cidr);
  return ips.find((ip) => isIPv4(ip) && (network === undefined || contains(network, parseIPv4(ip))));
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
