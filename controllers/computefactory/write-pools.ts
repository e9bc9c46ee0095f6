import { done, type Phase, type Run } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { VMPool } from '#lib/api/generated/index.ts';
import { isCode } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { leavingOf } from './plan-input.ts';
import type { PlannedPool } from './plan-state.ts';
import { draftPool, poolSpec, type WantedPool } from './pool-draft.ts';
import { poolName, shapeName } from './pool-name.ts';
import type { PoolView, Scope } from './scope.ts';
import { sameSize, weightOf } from './sizes.ts';

/** Brings the VMPools to the plan: those that shrink first, so that what they give back can be used by the others. */
export function writePools(deps: Deps, taken: (key: string) => VMPool | undefined): Phase<Scope> {
  return async (scope, run) => {
    const planned = wantedPools(scope);
    const steps = planned.map((pool) => ({ pool, view: viewOf(scope, pool) }));
    const growth = ({ pool, view }: (typeof steps)[number]) => pool.replicas - (view?.pool.spec.replicas ?? 0);
    for (const { pool, view } of steps.toSorted((a, b) => growth(a) - growth(b))) {
      run.signal.throwIfAborted();
      if (!view) await createPool(deps, taken, scope, pool, run);
      else if (isOver(pool, view)) await deletePool(deps, view, run);
      else await updatePool(deps, scope, pool, view, run);
    }
    return done;
  };
}

function wantedPools(scope: Scope): readonly WantedPool[] {
  const planned = scope.plan?.pools ?? [];
  const on = Map.groupBy(planned, ({ cluster }) => cluster);
  const together = (cluster: string) => on.get(cluster)!.reduce((sum, { replicas }) => sum + replicas, 0);
  const replacements = replacementsOf(scope, planned);
  return planned.map((pool) => ({
    ...pool,
    together: together(pool.cluster),
    replacements: replacements(viewOf(scope, pool)),
  }));
}

/** What is lost may run, and counts beside what stands in for it: together they must stay within capacity.max. */
function replacementsOf({ factory, pools }: Scope, planned: readonly PlannedPool[]) {
  const { max, unit } = factory.spec.capacity;
  if (max === undefined) return () => undefined;
  const leaving = pools.reduce((sum, view) => sum + leavingOf(view).length * weightOf(unit, view.size), 0);
  let left = planned.reduce((units, { size, replicas }) => units - replicas * weightOf(unit, size), max - leaving);
  return (view: PoolView | undefined): number => {
    const weight = view ? weightOf(unit, view.size) : 1;
    const count = Math.min(view?.lost.length ?? 0, Math.max(0, Math.floor(left / weight)));
    left -= count * weight;
    return count;
  };
}

const viewOf = ({ pools }: Scope, { cluster, size }: PlannedPool) =>
  pools.find((view) => view.cluster === cluster && sameSize(view.size, size) && !view.pool.metadata.deletionTimestamp);

/** No machine is wanted and none is left; the pool's own status is not asked, since it may be behind. */
const isOver = ({ replicas }: PlannedPool, { pool, machines, lost }: PoolView) =>
  replicas === 0 && pool.spec.replicas === 0 && machines.length + lost.length === 0;

async function createPool(
  { client, events }: Deps,
  taken: (key: string) => VMPool | undefined,
  { factory, pools }: Scope,
  wanted: WantedPool,
  { signal }: Run,
): Promise<void> {
  const { cluster, size, replicas } = wanted;
  if (replicas === 0) return;
  const own = new Map(pools.map((view) => [view.pool.metadata.name, view]));
  const name = poolName(factory, cluster, size, (candidate) => {
    if (own.has(candidate)) return own.get(candidate);
    return taken(`${factory.metadata.namespace}/${candidate}`) && { cluster: '', size };
  });
  try {
    await client.create(VMPool, draftPool(factory, name, wanted), { signal });
    events.normal(
      factory,
      'ScaledUp',
      `Made pool ${name} for ${replicas} machines of ${shapeName(size)} on ${cluster}`,
    );
  } catch (error) {
    // An earlier run made it, and the cache will show it; or it is another's, and the next look finds another name.
    if (!isCode(error, 'AlreadyExists')) throw error;
  }
}

async function deletePool({ client }: Deps, { pool }: PoolView, { signal }: Run): Promise<void> {
  const { namespace, name, uid, resourceVersion } = pool.metadata;
  try {
    await client.delete(VMPool, { namespace, name }, { uid, resourceVersion, propagation: 'Background', signal });
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
}

/** Whole spec.template, replicas, gang and maxReplacements; what users may add to a pool of ours (scaleIn, paused) stays. */
async function updatePool(
  { client, events }: Deps,
  { factory }: Scope,
  planned: WantedPool,
  { pool }: PoolView,
  { signal }: Run,
): Promise<void> {
  const { replicas } = planned;
  const wanted = poolSpec(factory, planned);
  const { runPolicy } = pool.spec.template.spec;
  const template = { ...wanted.template, spec: { runPolicy, ...wanted.template?.spec } };
  const { gang: _, maxReplacements: __, ...kept } = pool.spec;
  const { gang, maxReplacements } = wanted;
  const given = { ...(gang && { gang }), ...(maxReplacements !== undefined && { maxReplacements }) };
  const spec = { ...kept, replicas, template, ...given } as VMPool['spec'];
  if (sameJson(spec, pool.spec)) return;
  await client.update(VMPool, { ...pool, spec }, { signal });
  const { name } = pool.metadata;
  if (replicas !== pool.spec.replicas)
    events.normal(
      factory,
      replicas > pool.spec.replicas ? 'ScaledUp' : 'ScaledDown',
      `Pool ${name} from ${pool.spec.replicas} to ${replicas} machines`,
    );
}
