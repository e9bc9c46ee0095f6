/**
 * Plans so many units of capacity into machines, and writes one VMPool per cluster and size. It never makes machines itself.
 * Conditions: Ready, Available, Fulfilled, Reconciling, Stalled, Suspended, Paused.
 */
import { type Controller, done, owned, type Phase, type Trigger, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { statusPace } from '#controllers/runtime/status-pace.ts';
import { Cluster, ComputeFactory, InstanceType, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { lostFrom } from '#lib/api/lost.ts';
import { controllerOf, keyOf } from '#lib/api/meta.ts';
import type { Cache } from '#lib/client/cache.ts';
import { shiftTimes } from './away.ts';
import { refusedAt, refusedForMs } from './plan-input.ts';
import { planned, type Surroundings } from './read.ts';
import type { Scope } from './scope.ts';
import { summarize } from './status.ts';
import { writePools } from './write-pools.ts';

interface World {
  readonly pools: Cache<VMPool>;
  readonly machines: Cache<VirtualMachine>;
  readonly clusters: Cache<Cluster>;
  readonly instanceTypes: Cache<InstanceType>;
}

export function computeFactoryController(deps: Deps): Controller<ComputeFactory, Scope> {
  const factories = deps.cache(ComputeFactory);
  const world: World = {
    pools: deps.cache(VMPool),
    machines: deps.cache(VirtualMachine),
    clusters: deps.cache(Cluster),
    instanceTypes: deps.cache(InstanceType),
  };
  const pace = statusPace(1000);

  /** Last, because it may hold the status back. */
  const paceStatus: Phase<Scope> = (scope, run) => {
    const outcome = pace.outcome(scope.factory, summarize(scope, done, run), run.nowMs);
    scope.holdStatus = !outcome.done;
    return outcome.done ? lookAgain(scope, run) : outcome;
  };

  return {
    name: 'computefactory',
    for: ComputeFactory,
    reads: [VirtualMachine, Cluster, InstanceType],
    writes: [VMPool],
    triggers: [
      owned(VMPool, ComputeFactory),
      machinesOfFactories(world.pools),
      { kind: Cluster, map: () => factories.list().map(keyOf) },
      { kind: InstanceType, map: () => factories.list().map(keyOf) },
    ],
    load: (factory, run) => load(world, factory, run.nowMs),
    phases: [obeyPause, refuseInvalid, writePools(deps, (key) => world.pools.get(key)), paceStatus],
    summarize,
  };
}

function load(world: World, factory: ComputeFactory, nowMs: number): Scope {
  const effectiveTarget = factory.spec.suspend ? 0 : factory.spec.capacity.target;
  const surroundings: Surroundings = {
    clusters: world.clusters.list(),
    poolsOf: ({ metadata }) => world.pools.by('owner', metadata.uid),
    machinesOf: ({ metadata }) => world.machines.by('owner', metadata.uid),
    typeOf: (name) => world.instanceTypes.get(name),
  };
  const read = planned(factory, surroundings, effectiveTarget, nowMs);
  return { factory, ...read, effectiveTarget, lookAgainMs: nextChange(factory, read, nowMs), holdStatus: false };
}

/** A machine belongs to a pool, and the pool to a factory. */
function machinesOfFactories(pools: Cache<VMPool>): Trigger {
  return {
    kind: VirtualMachine,
    map: (machine) => {
      const pool = pools.byUid(controllerOf(machine)?.uid ?? '');
      const factory = pool && controllerOf(pool);
      return pool && factory?.kind === ComputeFactory.kind ? [`${pool.metadata.namespace}/${factory.name}`] : [];
    },
  };
}

const obeyPause: Phase<Scope> = ({ factory }) =>
  factory.spec.paused ? wait('BySpec', 'spec.paused is true: nothing is planned') : done;

const refuseInvalid: Phase<Scope> = ({ invalid }) => (invalid ? wait(invalid.reason, invalid.message) : done);

/** A refusal that is old enough to plan anew makes no event, nor does a Cluster that has been away for long enough. */
const lookAgain: Phase<Scope> = ({ lookAgainMs }, { nowMs }) =>
  lookAgainMs === undefined ? done : wait('Unfulfilled', 'Plans anew what no host has room for', lookAgainMs - nowMs);

function nextChange(
  factory: ComputeFactory,
  { clusters, pools }: Pick<Scope, 'clusters' | 'pools'>,
  nowMs: number,
): number | undefined {
  const { flexible, fixed } = refusedForMs(factory);
  const refusals = pools
    .flatMap(({ machines }) => machines)
    .flatMap((vm) => [refusedAt(vm) + flexible, refusedAt(vm) + fixed]);
  const losses = pools.flatMap(({ machines }) => machines).map((vm) => lostFrom(vm) ?? Number.POSITIVE_INFINITY);
  const due = [...refusals, ...losses, ...shiftTimes(factory, clusters)].filter(
    (ms) => Number.isFinite(ms) && ms > nowMs,
  );
  return due.length > 0 ? due.reduce((a, b) => Math.min(a, b)) : undefined;
}
