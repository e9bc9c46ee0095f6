/** What a factory's machines add up to, in units. Pure. */
import { isTrue } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import { isEnded, isUnreachable, isWanted, leavingOf } from './plan-input.ts';
import type { PoolView, Scope } from './scope.ts';
import { weightOf } from './sizes.ts';

export interface Figures {
  readonly planned: number;
  readonly provisioned: number;
  readonly running: number;
  readonly ready: number;
  readonly draining: number;
  readonly unreachable: number;
  readonly committed: number;
}

export function figuresOf({ factory, pools, away, plan }: Scope): Figures {
  const { unit } = factory.spec.capacity;
  const sum = (machines: (view: PoolView) => readonly VirtualMachine[]) =>
    pools.reduce((total, view) => total + machines(view).length * weightOf(unit, view.size), 0);
  const wanted = (holds: (vm: VirtualMachine) => boolean) =>
    sum(({ cluster, machines }) => (away.has(cluster) ? [] : machines.filter((vm) => isWanted(vm) && holds(vm))));
  const isOut = (cluster: string, vm: VirtualMachine) =>
    isUnreachable(vm) || (away.has(cluster) && vm.status?.attempt !== undefined);
  const planned = plan?.units ?? sum(({ machines }) => machines.filter(isWanted));
  return {
    planned,
    provisioned: wanted((vm) => vm.status?.attempt !== undefined),
    running: wanted((vm) => vm.status?.phase === 'Running'),
    ready: wanted((vm) => isTrue(vm, 'Ready')),
    draining: sum(leavingOf),
    unreachable: sum(({ cluster, machines, lost }) => [...lost, ...machines.filter((vm) => isOut(cluster, vm))]),
    committed: sum(({ machines, lost }) => [...lost, ...machines.filter((vm) => !isEnded(vm))]),
  };
}

const words = { Cores: ['core', 'cores'], MemoryGiB: ['GiB', 'GiB'], Instances: ['instance', 'instances'] } as const;

/** "200 cores". */
export function inUnits(amount: number, unit: keyof typeof words): string {
  return `${amount} ${words[unit][amount === 1 ? 0 : 1]}`;
}
