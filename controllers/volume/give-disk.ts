/**
 * Which machine may write to a Disk, or which Volume is made a copy of it, while which nobody writes. It stays that machine's for as long as its object is there and has anything to do with the disk: a
 * machine goes only when its last attempt is proven gone, so whoever comes next finds nobody. Pure.
 */
import { conditionOf } from '#lib/api/conditions.ts';
import type { VirtualMachine, Volume } from '#lib/api/generated/index.ts';
import { has, names, type Scope } from './scope.ts';

type Writer = NonNullable<NonNullable<Volume['status']>['writer']>;

export function writerOf({ volume, machines, copies }: Scope): Writer | undefined {
  const old = volume.status?.writer;
  if (volume.spec.type !== 'Disk') return undefined;
  const holder = machines.find(({ metadata }) => metadata.uid === old?.uid);
  if (old && holder && holds(holder, volume)) return writer(holder, old.grant);
  const copier = copies.find(({ metadata }) => metadata.uid === old?.uid);
  if (old?.copies && copier) return old;
  if (volume.spec.accessMode === 'ROX') return undefined;
  // A copy is done some day; a machine stays for as long as it likes.
  const copy =
    volume.status?.backend?.state === 'Made' ? copies.find((one) => !one.metadata.deletionTimestamp) : undefined;
  if (copy) return { uid: copy.metadata.uid, name: copy.metadata.name, grant: (old?.grant ?? 0) + 1, copies: true };
  const next = volume.metadata.deletionTimestamp
    ? undefined
    : machines.filter((vm) => wants(vm, volume)).toSorted(byAge)[0];
  if (next) return writer(next, (old?.grant ?? 0) + 1);
  return old && { uid: old.uid, name: old.name, grant: old.grant, ...(old.copies && { copies: true }) };
}

/** What it was placed with is dropped from its status only while it has no attempt, and never comes back without being given anew. */
function holds(vm: VirtualMachine, volume: Volume): boolean {
  return vm.status?.attempt !== undefined || has(vm, volume) || names(vm, volume);
}

const over: readonly unknown[] = ['Succeeded', 'Failed', 'Stopped'];

function wants(vm: VirtualMachine, volume: Volume): boolean {
  const isToRun = !vm.metadata.deletionTimestamp && vm.spec.runPolicy !== 'Halted' && !over.includes(vm.status?.phase);
  return isToRun && names(vm, volume) && vm.spec.placement?.cluster === volume.spec.cluster;
}

function writer(vm: VirtualMachine, grant: number): Writer {
  const { metadata, status } = vm;
  const { number, host } = status?.attempt ?? {};
  return {
    uid: metadata.uid,
    name: metadata.name,
    grant,
    ...(number !== undefined && { attempt: number }),
    ...(host !== undefined && { host }),
    ...(conditionOf(vm, 'Reachable')?.status === 'False' && { unreachable: true }),
  };
}

function byAge(one: VirtualMachine, other: VirtualMachine): number {
  const [a, b] = [one.metadata, other.metadata];
  return a.creationTimestamp.localeCompare(b.creationTimestamp) || a.name.localeCompare(b.name);
}
