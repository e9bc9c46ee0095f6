import { done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { finalizers } from '#lib/api/names.ts';
import type { Scope } from './scope.ts';

export const finalizerAdded = 'FinalizerAdded';

/** Machines of pools are made with it; one that a user made gets it before the first address is taken for it. */
export function holdFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ vm }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = vm.metadata;
    if (held.includes(finalizers.vmCleanup)) return done;
    const metadata = { resourceVersion, finalizers: [...held, finalizers.vmCleanup] };
    await client.patch(VirtualMachine, { namespace, name }, { metadata }, { signal });
    return wait(finalizerAdded, 'The finalizer was added; its event goes on');
  };
}
