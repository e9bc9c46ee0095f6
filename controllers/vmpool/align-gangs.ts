/** Machines that wait say of how many their gang consists now: that changes with every change of the size of a pool. */
import { isDeepStrictEqual } from 'node:util';
import { done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { isCode } from '#lib/std/errors.ts';
import { inParallel } from './scale.ts';
import type { Scope } from './scope.ts';

/** With the resourceVersion that was read. One that has a place keeps what it was launched with, until it needs another. */
export function alignGangs({ client }: Deps): Phase<Scope> {
  return async ({ pool, machines }, run) => {
    const { gang } = pool.spec;
    const behind = machines.filter(
      ({ vm, going, ended, placed }) => !going && !ended && !placed && !isDeepStrictEqual(vm.spec.gang, gang),
    );
    let raced = false;
    await inParallel(behind, run, async ({ vm }) => {
      const { namespace, name, resourceVersion } = vm.metadata;
      const patch = { metadata: { resourceVersion }, spec: { gang: gang ?? null } };
      try {
        await client.patch(VirtualMachine, { namespace, name }, patch, { signal: run.signal });
      } catch (error) {
        if (!isCode(error, 'NotFound', 'Conflict')) throw error;
        raced = true;
      }
    });
    return raced ? wait('ScalingUp', 'A machine changed while its gang was told; looks again', 200) : done;
  };
}
