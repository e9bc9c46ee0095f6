import { createHash } from 'node:crypto';
import { VirtualMachine, type VMPool } from '#lib/api/generated/index.ts';
import { apiVersionOf, type Draft, ownerReference } from '#lib/api/meta.ts';
import { finalizers, labels } from '#lib/api/names.ts';
import type { NewMachine } from './plan.ts';

/** Hash of what a machine of this pool would be made from now; the order of keys does not matter. */
export function revisionOf({ spec }: VMPool): string {
  const made = { template: spec.template, cluster: spec.cluster ?? null };
  return createHash('sha256').update(canonical(made)).digest('hex').slice(0, 10);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  return `{${entries.toSorted().map(([key, part]) => `${JSON.stringify(key)}:${canonical(part)}`)}}`;
}

/** A label may be 63 characters long, a name 253: what does not fit is cut and made unique by a hash. */
export function poolLabel(pool: string): string {
  if (pool.length <= 63) return pool;
  return `${pool.slice(0, 52)}-${createHash('sha256').update(pool).digest('hex').slice(0, 10)}`;
}

export const machineName = (pool: VMPool, ordinal: number) => `${pool.metadata.name}-${ordinal}`;

/** The finalizer and all labels are on it from its first moment: nothing has to be added by a second write. */
export function draftMachine(pool: VMPool, { ordinal, replaces }: NewMachine, revision: string): Draft<VirtualMachine> {
  const { template, cluster } = pool.spec;
  const { instanceType } = template.spec;
  const inherited = [labels.factory, labels.shape].flatMap((key) => {
    const value = pool.metadata.labels?.[key];
    return value === undefined ? [] : [[key, value] as const];
  });
  const own = {
    ...Object.fromEntries(inherited),
    [labels.pool]: poolLabel(pool.metadata.name),
    [labels.ordinal]: String(ordinal),
    [labels.revision]: revision,
    ...(replaces && { [labels.replaces]: replaces.vm.metadata.uid }),
    ...(cluster !== undefined && { [labels.cluster]: poolLabel(cluster) }),
    ...(instanceType !== undefined && { [labels.instanceType]: poolLabel(instanceType) }),
  };
  const placement = { ...template.spec.placement, ...(cluster !== undefined && { cluster }) };
  return {
    apiVersion: apiVersionOf(VirtualMachine),
    kind: VirtualMachine.kind,
    metadata: {
      namespace: pool.metadata.namespace!,
      name: machineName(pool, ordinal),
      labels: { ...template.metadata?.labels, ...own },
      ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
      finalizers: [finalizers.vmCleanup],
      ownerReferences: [ownerReference(pool)],
    },
    spec: {
      ...template.spec,
      ...(Object.keys(placement).length > 0 && { placement }),
      ...(pool.spec.gang && { gang: pool.spec.gang }),
    },
  };
}
