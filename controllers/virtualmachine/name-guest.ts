/**
 * The name inside the guest, given once. Within a pool it is unique: names are cut to what the system allows, and a template may name all
 * machines alike. What was given a moment ago and is not in the cache yet counts, too; only the leader gives names.
 */
import { done, type Phase } from '#controllers/runtime/controller.ts';
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import { labels } from '#lib/api/names.ts';
import { hostnameCandidates } from './identity.ts';
import type { Scope } from './scope.ts';
import type { Taken } from './taken.ts';

/** Index value of what `status.hostname` says, or would say; none for a machine of no pool. */
export function hostnameKeys(vm: VirtualMachine, hostname = vm.status?.hostname): readonly string[] {
  const pool = poolKey(vm);
  return pool === undefined || hostname === undefined ? [] : [`${pool}/${hostname}`];
}

function poolKey({ metadata }: VirtualMachine): string | undefined {
  const pool = metadata.labels?.[labels.pool];
  return pool === undefined ? undefined : `${metadata.namespace}/${pool}`;
}

/** `holders` gives the machines that have a name by its index value. */
export function nameGuest(holders: (key: string) => readonly VirtualMachine[], taken: Taken): Phase<Scope> {
  return ({ vm, image, resolved }) => {
    const { uid } = vm.metadata;
    const pool = poolKey(vm) ?? '';
    const isFree = (name: string) =>
      !taken.isForAnother(pool, name, uid) &&
      hostnameKeys(vm, name).every((key) => holders(key).every(({ metadata }) => metadata.uid === uid));
    const candidates = hostnameCandidates(vm, image?.spec.osType ?? 'Linux');
    resolved.hostname = vm.status?.hostname ?? candidates.find(isFree) ?? candidates.at(-1)!;
    if (pool !== '') taken.add(pool, resolved.hostname, uid);
    return done;
  };
}
