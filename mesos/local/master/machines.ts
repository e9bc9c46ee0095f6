/** Machines, as maintenance sees them: a host name with an address. What is planned for them is in the registry. */
import type { Unavailability } from '#mesos/types.ts';
import type { MachineId } from './registry.ts';
import type { Agent, Master } from './state.ts';

export function keyOf({ hostname = '', ip = '' }: MachineId): string {
  return `${hostname.toLowerCase()} ${ip}`;
}

export function machineOf(agent: Pick<Agent, 'info'>): MachineId {
  return { hostname: agent.info.hostname, ip: '127.0.0.1' };
}

export function has(machines: readonly MachineId[], machine: MachineId): boolean {
  return machines.some((other) => keyOf(other) === keyOf(machine));
}

export function isDown(master: Master, machine: MachineId): boolean {
  return has(master.registry.maintenance.down, machine);
}

/** When the agent's machine will be away, if that is planned. */
export function unavailabilityOf(master: Master, agent: Agent): Unavailability | undefined {
  const machine = machineOf(agent);
  return master.registry.maintenance.windows.find(({ machine_ids = [] }) => has(machine_ids, machine))?.unavailability;
}
