/** Rules of namespaces. */
import { at, isObject } from '#apiserver/json/json.ts';
import type { ApiObject } from '#apiserver/json/object.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { publicNamespace, systemNamespace } from '#lib/api/names.ts';
import type { Cause } from '#lib/std/errors.ts';
import type { Rules } from './rules.ts';

/** There from the first start on, and needed. */
export const systemNamespaces: readonly string[] = ['default', systemNamespace, publicNamespace];

const namespaceLabel = 'kubernetes.io/metadata.name';

export const namespaceRules: Rules = {
  defaults(object, old) {
    const { name } = object.metadata;
    const labels = { ...object.metadata.labels, ...(name ? { [namespaceLabel]: name } : {}) };
    const labelled = { ...object, metadata: { ...object.metadata, labels } } as ApiObject;
    // The namespace is emptied before it goes: `kubernetes` stands for that, until the controller takes it away by /finalize.
    return old ? labelled : { ...labelled, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } };
  },
  check: (object) => [...checkPhase(object), ...checkFinalizers(object)],
  refuseDelete: ({ metadata }) =>
    systemNamespaces.includes(metadata.name)
      ? 'this namespace belongs to the system and may not be deleted'
      : undefined,
};

function checkPhase(object: ApiObject): Cause[] {
  const status = at(object, 'status');
  const phase = isObject(status) ? at(status, 'phase') : undefined;
  const deleting = object.metadata.deletionTimestamp !== undefined;
  if (deleting || phase === undefined || phase === 'Active') return [];
  return [invalid('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")];
}

function checkFinalizers(object: ApiObject): Cause[] {
  const spec = at(object, 'spec');
  const finalizers = isObject(spec) ? at(spec, 'finalizers') : undefined;
  return (Array.isArray(finalizers) ? finalizers : [])
    .filter((name) => name !== 'kubernetes' && !/^[a-z0-9.-]+\/[A-Za-z0-9._-]+$/.test(String(name)))
    .map((name) =>
      invalid('spec.finalizers', name, 'name is neither a standard finalizer name nor is it fully qualified'),
    );
}
