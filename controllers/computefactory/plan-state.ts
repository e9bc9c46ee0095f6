/** What a plan is made from, and the working copy it is made in. */
import type { Room } from './room.ts';
import { allows, type Shape, type Size, type Unit, weightOf } from './sizes.ts';

/** Machines of one size on one cluster, alike to the planner. */
export interface PoolState {
  readonly cluster: string;
  readonly size: Size;
  /** Wanted, as the last plan said. */
  readonly replicas: number;
  /** Of these, with a live attempt on a host: kept where they are. */
  readonly placed: number;
  readonly ready: number;
  /** Of these, on a Cluster that is away, and has been for long: they are left alone and count no more. */
  readonly away: number;
  /** Of the others, those that no host had room for, for so long that it is no accident of two reports crossing. */
  readonly refused: number;
}

export interface ClusterState {
  readonly name: string;
  /** Takes machines now. */
  readonly usable: boolean;
  readonly room: Room;
}

export interface PlanInput {
  readonly unit: Unit;
  /** Effective target in units. */
  readonly target: number;
  readonly max: number;
  readonly overshoot: 'AllowLast' | 'Never';
  /** What is missing is placed at one time or not at all: it is not split over clusters. */
  readonly isAtomic: boolean;
  readonly shapes: readonly Shape[];
  /** Those that may be used. */
  readonly clusters: readonly ClusterState[];
  readonly pools: readonly PoolState[];
  /** Weight of machines that are not wanted any more, or lost, and not proven gone. */
  readonly leaving: number;
  /** The part of `leaving` on hosts that do not answer. */
  readonly leavingUnreachable: number;
}

export interface PlannedPool {
  readonly cluster: string;
  readonly size: Size;
  readonly replicas: number;
}

/** One pool in the working copy. */
export interface Draft {
  readonly cluster: string;
  readonly size: Size;
  readonly weight: number;
  /** undefined: no shape of the spec, or no cluster that may be used, has it any more. */
  readonly shape: Shape | undefined;
  /** Without those that are away. */
  replicas: number;
  placed: number;
  ready: number;
  refused: number;
  away: number;
}

export interface State {
  readonly input: PlanInput;
  readonly drafts: Map<string, Draft>;
}

export const draftKey = (cluster: string, { cores, memoryMiB, instanceType = '' }: Size) =>
  `${cluster}/${cores}/${memoryMiB}/${instanceType}`;

export function stateOf(input: PlanInput): State {
  const state: State = { input, drafts: new Map() };
  for (const pool of input.pools) {
    const draft = draftFor(state, pool.cluster, pool.size);
    const away = Math.min(pool.away, pool.replicas);
    const replicas = pool.replicas - away;
    const placed = Math.min(pool.placed - away, replicas);
    draft.replicas += replicas;
    draft.placed += placed;
    draft.ready += Math.min(pool.ready, placed);
    draft.refused += Math.min(pool.refused, replicas - placed);
    draft.away += away;
  }
  return state;
}

export function copyState({ input, drafts }: State): State {
  return { input, drafts: new Map([...drafts].map(([key, draft]) => [key, { ...draft }])) };
}

/** The working copy of a pool, made empty if there is none. */
export function draftFor({ input, drafts }: State, cluster: string, size: Size): Draft {
  const key = draftKey(cluster, size);
  const known = drafts.get(key);
  if (known) return known;
  const isAllowed = input.clusters.some(({ name }) => name === cluster);
  const shape = isAllowed ? input.shapes.find((one) => allows(one, size)) : undefined;
  const draft = {
    cluster,
    size,
    weight: weightOf(input.unit, size),
    shape,
    replicas: 0,
    placed: 0,
    ready: 0,
    refused: 0,
    away: 0,
  };
  drafts.set(key, draft);
  return draft;
}

export const unitsOf = ({ drafts }: State) =>
  drafts.values().reduce((sum, { replicas, weight }) => sum + replicas * weight, 0);

export const unitsOfShape = ({ drafts }: State, shape: Shape) =>
  drafts.values().reduce((sum, draft) => (draft.shape === shape ? sum + draft.replicas * draft.weight : sum), 0);

/** Takes `count` machines out of a pool, those without a place first. */
export function withdraw(draft: Draft, count: number): void {
  draft.replicas -= count;
  draft.placed = Math.min(draft.placed, draft.replicas);
  draft.ready = Math.min(draft.ready, draft.replicas);
  draft.refused = Math.min(draft.refused, draft.replicas - draft.placed);
}
