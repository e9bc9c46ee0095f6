import { done, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { isCode } from '#lib/std/errors.ts';
import { draftMachine } from './draft-machine.ts';
import type { Facts } from './facts.ts';
import type { Scope } from './scope.ts';

/** Calls under way at once: enough to hide the latency of the store, few enough to leave room for others. */
const parallelMax = 16;

/** Names follow from the ordinal, so one that an earlier run made without hearing the answer is found, not doubled. */
export function createMachines({ client, events }: Deps): Phase<Scope> {
  return async ({ pool, plan, revision }, run) => {
    let behind = false;
    await inParallel(plan.create, run, async (machine) => {
      try {
        await client.create(VirtualMachine, draftMachine(pool, machine, revision), { signal: run.signal });
      } catch (error) {
        if (!isCode(error, 'AlreadyExists')) throw error;
        behind = true;
      }
    });
    if (plan.create.length > 0)
      events.normal(pool, 'ScaledUp', `Made ${plan.create.length} of ${pool.spec.replicas} machines`);
    const lost = plan.create.flatMap(({ replaces }) => (replaces ? [replaces.name] : []));
    if (lost.length > 0)
      events.warning(
        pool,
        'Replaced',
        `Made ${lost.length} machines for others whose hosts do not answer, the first of them ${lost[0]}`,
      );
    return behind ? wait('ScalingUp', 'A name was taken by an object not heard of yet; looks again', 200) : done;
  };
}

/**
 * With the resourceVersion it was chosen by: a machine that was just placed, protected or became ready is not deleted for what it was a
 * moment ago, but chosen anew. `remember` is told of each delete that was accepted.
 */
export function removeMachines({ client, events }: Deps, remember: (uid: string) => void): Phase<Scope> {
  return async ({ pool, plan }, run) => {
    let raced = false;
    await inParallel(plan.remove, run, async ({ vm }: Facts) => {
      const { namespace, name, uid, resourceVersion } = vm.metadata;
      try {
        await client.delete(VirtualMachine, { namespace, name }, { uid, resourceVersion, signal: run.signal });
        remember(uid);
      } catch (error) {
        if (!isCode(error, 'NotFound', 'Conflict')) throw error;
        raced = true;
      }
    });
    if (plan.remove.length > 0)
      events.normal(pool, 'ScaledDown', `Deleted ${plan.remove.length} machines, the first ${plan.remove[0]!.name}`);
    return raced ? wait('ScalingDown', 'A machine changed while it was chosen; chooses again', 200) : done;
  };
}

/** Every item is tried, also after one failed: the first failure is thrown at the end. */
export async function inParallel<T>(items: readonly T[], run: Run, act: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      run.signal.throwIfAborted();
      await act(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallelMax, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
