/** Machines for tests of what is decided on a ledger. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { labels } from '#lib/api/names.ts';

export interface MachineTraits {
  readonly cores?: number;
  readonly priority?: number;
  readonly pool?: string;
  readonly namespace?: string;
  readonly gang?: { readonly name: string; readonly machines: number; readonly timeout: string };
  readonly status?: Partial<NonNullable<VirtualMachine['status']>>;
  readonly spec?: Partial<VirtualMachine['spec']>;
}

/** One that waits for a place, unless its status says otherwise. */
export function machine(name: string, traits: MachineTraits = {}): VirtualMachine {
  const { cores = 1, priority = 0, pool = 'p', namespace = 'n', gang, status, spec } = traits;
  const metadata = { name, namespace, uid: name, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  return {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine' },
    metadata: { ...metadata, labels: { [labels.pool]: pool }, resourceVersion: '1' },
    spec: {
      ...{ runPolicy: 'Always', image: { name: 'debian' }, resources: { cores, memory: '1Gi' }, priority },
      ...{ terminationGracePeriod: '60s', deleteProtection: false, ...(gang && { gang }), ...spec },
    },
    status: { phase: 'Scheduling', instanceType: { cores, memory: '1Gi' }, conditions: [], ...status },
  };
}
