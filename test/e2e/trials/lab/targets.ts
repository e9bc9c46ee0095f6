/** What of the lab is hurt, in which ways, and where the victims are found. */
import type { ProcessIdentity } from '#lib/std/process-identity.ts';
import type { Blow, Victim } from '../faults/striker.ts';
import { executorProcesses } from '../processes/targets.ts';
import type { Lab, LabHost } from './cluster.ts';
import { initOf, processesIn, type Qemu, qemusIn } from './host-processes.ts';

export const ways = ['kill -9', 'SIGSTOP', 'power cut', 'link down'] as const;
export type LabWay = (typeof ways)[number];

const bothWays = ['kill -9', 'SIGSTOP'] as const;
export const waysTo = {
  host: ['power cut'],
  wire: ['link down'],
  worker: bothWays,
  supervisor: bothWays,
  agent: bothWays,
  libvirtd: bothWays,
  QEMU: bothWays,
  glusterd: bothWays,
  brick: bothWays,
} as const satisfies Readonly<Record<string, readonly LabWay[]>>;
export type LabKind = keyof typeof waysTo;
export const kinds = Object.keys(waysTo) as LabKind[];

export interface LabVictim extends Victim {
  readonly host: LabHost;
  /** If it is one. */
  readonly qemu?: Qemu;
}

/** So many, in passes: each kind comes once in each, in one of its ways after the other. */
export function passes(count: number): readonly (readonly Blow<LabKind, LabWay>[])[] {
  const pass = (number: number) =>
    kinds.map((kind, at) => {
      const its: readonly LabWay[] = waysTo[kind];
      return { kind, way: its[(number + at) % its.length]! };
    });
  const whole = Array.from({ length: Math.ceil(count / kinds.length) }, (_, number) => pass(number));
  return whole.map((blows, number) => blows.slice(0, count - number * kinds.length));
}

export function find(lab: Lab, kind: LabKind): readonly LabVictim[] {
  const { dir } = lab.cluster;
  const each = (processes: (host: LabHost) => readonly (ProcessIdentity | undefined)[], word: string = kind) =>
    lab.hosts.flatMap((host) => {
      const its = processes(host).filter((process) => process !== undefined);
      return its.length > 0 ? [{ name: `${word} of ${host.name}`, host, processes: its }] : [];
    });
  switch (kind) {
    // Under one name: who has no power has no link either.
    case 'host':
    case 'wire':
      return each(({ machineDir }) => [initOf(machineDir)], 'power and wire');
    case 'worker':
      return each(({ name }) => executorProcesses({ dir }, name).workers);
    case 'supervisor':
      return each(({ name }) => executorProcesses({ dir }, name).supervisors);
    case 'agent':
      return each(({ agent }) => [lab.keeper.process(agent)]).map((victim) => ({ ...victim, name: victim.host.agent }));
    case 'libvirtd':
      return each(oldest(/^(\S*\/)?libvirtd /));
    case 'glusterd':
      return each(oldest(/^(\S*\/)?glusterd /));
    case 'brick':
      return each(oldest(/^(\S*\/)?glusterfsd .*--brick-name /));
    case 'QEMU':
      return qemusIn(
        dir,
        lab.hosts.map(({ name }) => name),
      ).map((qemu) => ({
        ...{ name: `QEMU of ${qemu.uid}`, qemu, processes: [qemu.identity] },
        host: lab.hosts.find(({ name }) => name === qemu.host)!,
      }));
  }
}

/** A program that forks has children of its own name for a moment. */
function oldest(program: RegExp) {
  return ({ netns }: LabHost): readonly (ProcessIdentity | undefined)[] => {
    const its = processesIn(netns).filter(({ command }) => program.test(command));
    return its
      .map(({ identity }) => identity)
      .sort((a, b) => a.startTime - b.startTime)
      .slice(0, 1);
  };
}
