/**
 * Which Secrets the machines of a Cluster need: those, and only while a machine that names them has its attempt there, its cluster server may
 * read, as Kubernetes' node authorizer lets a kubelet read the Secrets of its pods. Kept in step with the watch cache, so that each
 * question is one look into a map.
 */
import { at, atPath, isObject } from '#apiserver/json/json.ts';
import { objectsIn, textIn } from '#apiserver/json/members.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Caches } from '#apiserver/storage/caches.ts';
import { type FollowOptions, follow } from '#apiserver/storage/follow.ts';
import { group, version } from '#lib/api/names.ts';

const singleRefs = ['userDataSecretRef', 'networkDataSecretRef', 'adminPasswordSecretRef'];

export class SecretsInUse {
  /** Cluster, namespace and name -> machines. */
  readonly #users = new Map<string, number>();

  /** Nothing counts as used before the machines are known. */
  isUsed(cluster: string, namespace: string, name: string): boolean {
    return this.#users.has(keyOf(cluster, namespace, name));
  }

  follow(caches: Caches, registry: Registry, options: FollowOptions): Disposable {
    const source = () => {
      const machines = registry.find(group, version, 'virtualmachines');
      return machines && caches.of(machines);
    };
    const follower = {
      put: (machine: StoredObject, before: StoredObject | undefined) => {
        if (before) this.#count(before, -1);
        this.#count(machine, 1);
      },
      remove: (machine: StoredObject) => this.#count(machine, -1),
      changed() {},
    };
    return follow(source, follower, options);
  }

  #count(machine: StoredObject, change: 1 | -1): void {
    for (const key of usesOf(machine)) {
      const now = (this.#users.get(key) ?? 0) + change;
      if (now === 0) this.#users.delete(key);
      else this.#users.set(key, now);
    }
  }
}

function keyOf(cluster: string, namespace: string, name: string): string {
  return [cluster, namespace, name].join(' ');
}

function usesOf(machine: StoredObject): ReadonlySet<string> {
  const cluster = atPath(machine, ['status', 'attempt', 'cluster']);
  const spec = at(machine, 'spec');
  if (typeof cluster !== 'string' || !isObject(spec)) return new Set();
  const refs = [...singleRefs.map((field) => at(spec, field)), ...objectsIn(spec, 'sshKeySecretRefs')];
  const names = refs.filter(isObject).map((ref) => textIn(ref, 'name'));
  return new Set(names.map((name) => keyOf(cluster, machine.metadata.namespace ?? '', name)));
}
