import type { VirtualMachine, Volume } from '#lib/api/generated/index.ts';
import type { NamedSources } from './sources.ts';

/** The world of one volume, read once. */
export interface Scope {
  readonly volume: Volume;
  /** All machines of its namespace that name it, or were placed with it. */
  readonly machines: readonly VirtualMachine[];
  /** Volumes that are to be made with what this one has, or are being made so. */
  readonly copies: readonly Volume[];
  /** What spec.sources names. */
  readonly sources: NamedSources;
}

/** The machine was, or is about to be, placed with the volume. */
export function has(vm: VirtualMachine, { metadata }: Volume): boolean {
  return vm.status?.volumes?.some(({ uid }) => uid === metadata.uid) ?? false;
}

/** So that its guest can write to it. */
export function hasToWrite(vm: VirtualMachine, { metadata }: Volume): boolean {
  return vm.status?.volumes?.some(({ uid, readOnly }) => uid === metadata.uid && !readOnly) ?? false;
}

export function names(vm: VirtualMachine, { metadata }: Volume): boolean {
  return vm.spec.volumes?.some(({ volume }) => volume === metadata.name) ?? false;
}
