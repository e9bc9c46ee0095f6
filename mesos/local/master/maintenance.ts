/**
 * Maintenance of machines: a schedule that frameworks see in their offers and inverse offers, and the taking down of machines. Texts are
 * those of src/master/maintenance.cpp and src/master/http.cpp.
 */
import { HttpError } from '../http.ts';
import { timeInfo } from '../version.ts';
import { removeAgent } from './agent-loss.ts';
import { forgetInverseOffers } from './inverse-offers.ts';
import { has, keyOf, machineOf } from './machines.ts';
import { rescindOffer } from './offers.ts';
import type { MachineId, MaintenanceState, Window } from './registry.ts';
import type { Master } from './state.ts';

/** A machine in Mesos' words. */
function nameOf({ hostname, ip }: MachineId): string {
  return `Machine '${JSON.stringify({ ...(hostname !== undefined && { hostname }), ...(ip !== undefined && { ip }) })}'`;
}

function scheduleProblem({ down }: MaintenanceState, windows: readonly Window[]): string | undefined {
  const machines = windows.flatMap(({ machine_ids = [] }) => machine_ids);
  if (windows.some(({ machine_ids = [] }) => machine_ids.length === 0))
    return 'List of machines in the maintenance window is empty';
  const nameless = machines.find(({ hostname = '', ip = '' }) => hostname === '' && ip === '');
  if (nameless !== undefined) return `Both 'hostname' and 'ip' for a machine are empty`;
  const twice = machines.find(
    (machine, index) => machines.findIndex((other) => keyOf(other) === keyOf(machine)) < index,
  );
  if (twice !== undefined) return `${nameOf(twice)} appears more than once in the schedule`;
  const missing = down.find((machine) => !has(machines, machine));
  return missing && `${nameOf(missing)} is deactivated and cannot be removed from the schedule`;
}

/** Takes the schedule as a whole. Offers of all machines are rescinded, so that the new ones carry what was planned. */
export function updateSchedule(master: Master, windows: readonly Window[]): void {
  const state = master.registry.maintenance;
  const problem = scheduleProblem(state, windows);
  if (problem !== undefined) throw new HttpError(400, problem);
  master.registry.setMaintenance({ ...state, windows });
  for (const agent of master.agents.values()) {
    for (const offer of [...agent.offers]) rescindOffer(master, offer);
    forgetInverseOffers(master, agent);
  }
  master.allocator.request();
}

/** Takes machines down: their agents are removed and refused until STOP_MAINTENANCE. */
export function startMaintenance(master: Master, machines: readonly MachineId[]): void {
  const state = master.registry.maintenance;
  for (const machine of machines) {
    if (!state.windows.some(({ machine_ids = [] }) => has(machine_ids, machine)))
      throw new HttpError(400, `${nameOf(machine)} is not part of a maintenance schedule`);
    if (has(state.down, machine))
      throw new HttpError(400, `${nameOf(machine)} is not in DRAINING mode and cannot be brought down`);
  }
  master.registry.setMaintenance({ ...state, down: [...state.down, ...machines] });
  for (const agent of [...master.agents.values()]) {
    if (!has(machines, machineOf(agent))) continue;
    const reason = `Operator initiated 'Machine DOWN'`;
    agent.session?.stream.send({ type: 'GONE', message: reason });
    removeAgent(master, agent, reason);
  }
}

/** Brings machines up again: they leave the schedule, and their agents may register. */
export function stopMaintenance(master: Master, machines: readonly MachineId[]): void {
  const { windows, down } = master.registry.maintenance;
  for (const machine of machines) {
    if (!windows.some(({ machine_ids = [] }) => has(machine_ids, machine)))
      throw new HttpError(400, `${nameOf(machine)} is not part of a maintenance schedule`);
    if (!has(down, machine))
      throw new HttpError(400, `${nameOf(machine)} is not in DOWN mode and cannot be brought up`);
  }
  master.registry.setMaintenance({
    windows: windows
      .map((window) => ({ ...window, machine_ids: (window.machine_ids ?? []).filter((id) => !has(machines, id)) }))
      .filter(({ machine_ids }) => machine_ids.length > 0),
    down: down.filter((machine) => !has(machines, machine)),
  });
}

export function maintenanceStatus(master: Master): object {
  const { windows, down } = master.registry.maintenance;
  const draining = windows.flatMap(({ machine_ids = [] }) => machine_ids).filter((machine) => !has(down, machine));
  return {
    ...(draining.length > 0 && {
      draining_machines: draining.map((id) => {
        const statuses = statusesOf(master, id);
        return { id, ...(statuses.length > 0 && { statuses }) };
      }),
    }),
    ...(down.length > 0 && { down_machines: down }),
  };
}

/** What frameworks answered to inverse offers of the machine's agents. */
function statusesOf(master: Master, machine: MachineId): object[] {
  return [...master.agents.values()]
    .filter((agent) => has([machine], machineOf(agent)))
    .flatMap((agent) =>
      [...agent.inverse].flatMap(([frameworkId, { answer }]) =>
        answer === undefined
          ? []
          : [{ status: answer.status, framework_id: { value: frameworkId }, timestamp: timeInfo(answer.at) }],
      ),
    );
}
