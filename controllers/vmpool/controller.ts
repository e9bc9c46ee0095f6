/**
 * Keeps spec.replicas machines of one template. Names are `<pool>-<ordinal>`, lowest free number; a number is free when its object is
 * gone. A change of the template is for machines made from then on. Deletion of the pool is garbage collection's. Machines leave hosts
 * that are drained when the pool lets them.
 * Conditions: Ready, Available, Reconciling, Stalled, UpToDate, ScaleInBlocked, Paused.
 */
import { type Controller, done, owned, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { statusPace } from '#controllers/runtime/status-pace.ts';
import { Host, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Cache } from '#lib/client/cache.ts';
import { timestamp } from '#lib/std/clock.ts';
import { alignGangs } from './align-gangs.ts';
import { machineName, revisionOf } from './draft-machine.ts';
import { factsOf } from './facts.ts';
import { grantDrains, remembered } from './grant-drains.ts';
import { planPool, type TakenOrdinals } from './plan.ts';
import { recentDeletes } from './recent-deletes.ts';
import { createMachines, removeMachines } from './scale.ts';
import type { Scope } from './scope.ts';
import { summarize } from './status.ts';

export function vmPoolController(deps: Deps): Controller<VMPool, Scope> {
  const machines = deps.cache(VirtualMachine);
  const hosts = deps.cache(Host);
  const granted = new Map<string, string>();
  const deletes = recentDeletes(machines, deps.clock);
  const pace = statusPace(1000);

  function load(pool: VMPool, nowMs: number): Scope {
    const revision = revisionOf(pool);
    const own = deletes.marked(machines.by('owner', pool.metadata.uid), timestamp(nowMs));
    remembered(granted, (uid) => machines.byUid(uid) !== undefined);
    const facts = factsOf(own, revision, (name) => hosts.get(name), granted);
    const plan = planPool(pool.spec, facts, takenOrdinals(machines, pool), nowMs);
    return { pool, revision, machines: facts, plan, granted, holdStatus: false };
  }

  /** Last, because it may hold the status back. */
  const paceStatus: Phase<Scope> = (scope, run) => {
    const outcome = pace.outcome(scope.pool, summarize(scope, done, run), run.nowMs);
    scope.holdStatus = !outcome.done;
    return outcome.done ? awaitLost(scope, run) : outcome;
  };

  return {
    name: 'vmpool',
    for: VMPool,
    reads: [VirtualMachine, Host],
    writes: [VirtualMachine],
    triggers: [owned(VirtualMachine, VMPool)],
    triggerPaceMs: 200,
    load: (pool, run) => load(pool, run.nowMs),
    phases: [
      grantDrains(deps),
      obeyPause,
      createMachines(deps),
      removeMachines(deps, deletes.add),
      alignGangs(deps),
      goOn,
      paceStatus,
    ],
    summarize,
  };
}

function takenOrdinals(machines: Cache<VirtualMachine>, pool: VMPool): TakenOrdinals {
  const { namespace } = pool.metadata;
  return { has: (ordinal) => machines.get(`${namespace}/${machineName(pool, ordinal)}`) !== undefined };
}

const obeyPause: Phase<Scope> = ({ pool }) =>
  pool.spec.paused ? wait('BySpec', 'spec.paused is true: nothing is made or deleted') : done;

/** One pass is bounded; the next follows at once. An open breaker is looked at again when its period ends. */
const goOn: Phase<Scope> = ({ plan }, { nowMs }) => {
  if (plan.more) return wait('Scaling', 'The next machines follow', 0);
  return plan.retryAtMs === undefined ? done : wait('LaunchBackoff', 'Tries one more machine', plan.retryAtMs - nowMs);
};

/** No event tells that a host has been silent for long enough. */
const awaitLost: Phase<Scope> = ({ plan: { lostAtMs } }, { nowMs }) =>
  lostAtMs === undefined ? done : wait('Unreachable', 'Waits for a host to answer', lostAtMs - nowMs);
