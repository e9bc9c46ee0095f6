/** What is placed on what: the mixes that kube-scheduler's own benchmark uses, in our words. */

import { askFor } from '#controllers/scheduler/overhead.ts';
import type { Room } from '#controllers/scheduler/room.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { seededRandom } from '#lib/std/random.ts';

export interface BenchHost {
  readonly hostname: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What machines may take. */
  readonly room: Room;
}

type Placement = NonNullable<VirtualMachine['spec']['placement']>;

export interface Mix {
  readonly name: string;
  /** Of the machine with this number. */
  readonly placement?: (index: number) => Placement;
  /** For each machine that fits, so many more that are too large for any host. */
  readonly tooLarge?: number;
}

/** So that each number of hosts fills its racks. */
const perRack = 50;
const perPool = 100;

export const mixes: readonly Mix[] = [
  { name: 'basic' },
  {
    name: 'dedicated',
    placement: () => ({
      hostSelector: { matchExpressions: [{ key: 'dedicated', operator: 'NotIn', values: ['db'] }] },
    }),
  },
  {
    name: 'spread',
    placement: () => ({ spread: [{ key: 'rack', maxSkew: 2, whenUnsatisfiable: 'DoNotSchedule' }] }),
  },
  { name: 'anti-affinity', placement: () => ({ antiAffinity: [{ key: 'host' }] }) },
  { name: 'unschedulable', tooLarge: 0.5 },
];

/** 64 cores and 256 GiB each; a tenth is set apart. */
export function benchHosts(count: number): readonly BenchHost[] {
  return Array.from({ length: count }, (_, index) => ({
    hostname: `h${index}`,
    labels: { rack: `r${Math.floor(index / perRack)}`, ...(index % 10 === 9 ? { dedicated: 'db' } : {}) },
    room: { cpu: 64_000, mem: 256 * 1024 * 1000 },
  }));
}

/** `count` machines of 1 to 4 cores that there is room for, and those for which there is none among them; in pools of 100. */
export function benchMachines({ placement, tooLarge = 0 }: Mix, count: number): readonly VirtualMachine[] {
  const random = seededRandom(7);
  const tooLargeCount = Math.floor(count * tooLarge);
  return Array.from({ length: count + tooLargeCount }, (_, index) => {
    // Spread evenly: as many as there should be among the first so many.
    const share = tooLarge / (1 + tooLarge);
    const isTooLarge = Math.floor((index + 1) * share) > Math.floor(index * share);
    const cores = isTooLarge ? 100 : 1 + Math.floor(random.next() * 4);
    return machine(index, cores, placement?.(index));
  });
}

function machine(index: number, cores: number, placement: Placement | undefined): VirtualMachine {
  const name = `vm-${String(index).padStart(5, '0')}`;
  const pool = `pool-${Math.floor(index / perPool)}`;
  return {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VirtualMachine',
    metadata: {
      ...{ name, namespace: 'default', uid: `uid-${name}`, creationTimestamp: '2026-01-01T00:00:00Z' },
      labels: { 'computefactory.io/pool': pool },
    },
    spec: { priority: 0, image: { name: 'blender' }, ...(placement ? { placement } : {}) },
    status: { phase: 'Scheduling', instanceType: { cores, memory: `${cores * 2}Gi` } },
  } as unknown as VirtualMachine;
}

export const roomFor = (vm: VirtualMachine): Room => {
  const { cores = 0, memory = '0Gi' } = vm.status?.instanceType ?? {};
  return askFor({ cores, memoryMiB: Number.parseInt(memory, 10) * 1024 });
};

export const poolOf = ({ metadata }: VirtualMachine) => metadata.labels?.['computefactory.io/pool'] ?? '';
