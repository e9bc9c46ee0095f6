import { done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { ConfigMap } from '#lib/api/core.ts';
import { systemNamespace } from '#lib/api/names.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Scope } from './scope.ts';
import { vniCandidate, vniConfigMapName, vniData } from './vni.ts';

/** Tries of one run; a subnet that has worse luck goes on in the next. */
const triesMax = 32;

/**
 * The number of this subnet: the one in status, one that an earlier run took without telling, or a new one. A number in status whose
 * ConfigMap is gone is taken again, so that nobody else gets it.
 */
export function allocateVni({ client }: Deps): Phase<Scope> {
  return async (scope, { signal }) => {
    const held = scope.subnet.status?.vni ?? numberIn(scope);
    if (held !== undefined && scope.vniMaps.some(({ metadata }) => metadata.name === vniConfigMapName(held))) {
      scope.vni = held;
      return done;
    }
    const wanted = held === undefined ? [] : [held];
    const candidates = [
      ...wanted,
      ...Array.from({ length: triesMax }, (_, n) => vniCandidate(scope.subnet.metadata.uid, n)),
    ];
    for (const vni of candidates) {
      if (!(await take(vni))) continue;
      scope.vni = vni;
      return done;
    }
    return wait('NoVni', `The first ${candidates.length} VXLAN ids were taken; looks again`, 5_000);

    async function take(vni: number): Promise<boolean> {
      const at = { namespace: systemNamespace, name: vniConfigMapName(vni) };
      const data = vniData(scope.subnet);
      try {
        await client.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: at, data } as never, {
          signal,
        });
        return true;
      } catch (error) {
        if (!isCode(error, 'AlreadyExists')) throw error;
      }
      // An earlier run may have made it and died before it wrote the status.
      const found = await client.get(ConfigMap, at, { signal });
      return found.data?.subnetUID === data.subnetUID;
    }
  };
}

function numberIn({ vniMaps }: Scope): number | undefined {
  const numbers = vniMaps.map(({ metadata }) => Number(metadata.name.slice('vni-'.length))).filter(Number.isInteger);
  return numbers.length > 0 ? Math.min(...numbers) : undefined;
}

/** Frees the numbers of this subnet; also a second one, of a run that died. */
export function freeVni({ client }: Deps): Phase<Scope> {
  return async ({ vniMaps }, { signal }) => {
    for (const { metadata } of vniMaps) {
      const { namespace, name, uid } = metadata;
      try {
        await client.delete(ConfigMap, { namespace, name }, { uid, signal });
      } catch (error) {
        if (!isCode(error, 'NotFound')) throw error;
      }
    }
    return done;
  };
}
