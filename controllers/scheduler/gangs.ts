/**
 * Machines that start together or not at all: spec.gang. One is placed only when all of it are there, and all that wait have room at one time,
 * on offers that are held at that moment. Pure.
 */
import { parseDuration } from '#lib/api/duration.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';

/** A gang of which machines wait. */
export interface Gang {
  /** namespace/name, unlike that of any other. */
  readonly key: string;
  readonly name: string;
  /** Of which it consists. */
  readonly machines: number;
  /** How long room is kept for a part of it, and how long it may run in part. */
  readonly timeoutMs: number;
  readonly waiting: readonly VirtualMachine[];
  /** With a live attempt here, or done with their work. */
  readonly live: readonly VirtualMachine[];
}

export function gangKeyOf({ metadata, spec }: VirtualMachine): string | undefined {
  return spec.gang && `${metadata.namespace}/${spec.gang.name}`;
}

/** `waiting`: machines that could be placed now. `live`: see Gang; asked for only if one waits. */
export function gangsOf(
  waiting: readonly VirtualMachine[],
  live: () => readonly VirtualMachine[],
): ReadonlyMap<string, Gang> {
  const parts = Map.groupBy(
    waiting.filter(({ spec }) => spec.gang),
    (vm) => gangKeyOf(vm)!,
  );
  if (parts.size === 0) return new Map();
  const running = Map.groupBy(
    live().filter(({ spec }) => spec.gang),
    (vm) => gangKeyOf(vm)!,
  );
  return new Map([...parts].map(([key, machines]) => [key, gangOf(key, machines, running.get(key) ?? [])]));
}

function gangOf(key: string, waiting: readonly VirtualMachine[], live: readonly VirtualMachine[]): Gang {
  // All say the same, save for a moment while its size changes: then the larger one is waited for.
  const machines = Math.max(...waiting.map(({ spec }) => spec.gang!.machines));
  const { name, timeout } = waiting[0]!.spec.gang!;
  return { key, name, machines, timeoutMs: parseDuration(timeout), waiting, live };
}

/** Why none of it is placed, whatever room there is; undefined: all of it are there. */
export function missingFrom({ name, machines, waiting, live }: Gang): string | undefined {
  const there = waiting.length + live.length;
  if (there >= machines) return undefined;
  return `${there} of the ${machines} machines of gang ${name} could be placed now; none is before all can be`;
}

/**
 * Machines that were launched together with others of which one never ran, and has found no other place in time: the offer was gone when
 * Mesos was asked, or the cluster server ended between two steps. They are to be taken back, so that it is all or nothing again. A machine
 * that was up once, or was made later, was no part of that launch: for want of it the others are left alone.
 */
export function startedInPart({ waiting, live, timeoutMs }: Gang, nowMs: number): readonly VirtualMachine[] {
  const launches = Map.groupBy(live, ({ status }) => status?.attempt?.gang?.launch ?? '');
  return [...launches].flatMap(([launch, machines]) => {
    const { gang, since = '' } = machines[0]!.status!.attempt!;
    const sinceMs = Date.parse(since);
    if (launch === '' || !gang || machines.length >= gang.machines || !(nowMs - sinceMs > timeoutMs)) return [];
    return waiting.some((vm) => neverRan(vm) && Date.parse(vm.metadata.creationTimestamp) <= sinceMs) ? machines : [];
  });
}

const neverRan = ({ status }: VirtualMachine) => status?.phaseTransitions?.Running === undefined;
