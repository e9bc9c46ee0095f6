/** All roles and bindings in memory, indexed by whom they speak of: a request is decided without a look at the store. */
import type { Authorizer } from '#apiserver/auth/authorize.ts';
import { serviceAccountUser, type User } from '#apiserver/auth/user.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { roleRefIn, rulesIn, subjectsIn } from './read.ts';
import { type PolicyRule, type RoleRef, rbacGroup, ruleAllows } from './rule.ts';

export type RbacKind = 'Role' | 'ClusterRole' | 'RoleBinding' | 'ClusterRoleBinding';

/** Rules that apply to a user, and what went wrong in finding them: a binding may name a role that is not there. */
export interface Resolved {
  readonly rules: readonly PolicyRule[];
  readonly problems: readonly string[];
}

export class Policy {
  readonly #rules = new Map<string, readonly PolicyRule[]>();
  /** By namespace, which is empty for the whole cluster, then by subject, then by the binding's name. */
  readonly #bindings = new Map<string, Map<string, Map<string, RoleRef>>>();

  readonly authorizer: Authorizer = (user, attributes) => {
    const namespace = 'path' in attributes ? undefined : attributes.namespace;
    const problems: string[] = [];
    for (const found of this.#rulesFor(user, namespace)) {
      if (typeof found === 'string') problems.push(found);
      else if (found.some((rule) => ruleAllows(rule, attributes))) return { verdict: 'allow', reason: 'RBAC' };
    }
    return problems.length === 0 ? { verdict: 'none' } : { verdict: 'none', reason: `RBAC: [${problems.join(', ')}]` };
  };

  /** Everything that roles give a user at the scope of the cluster, and in the namespace if one is named. */
  resolve(user: User, namespace: string | undefined): Resolved {
    const rules: PolicyRule[] = [];
    const problems: string[] = [];
    for (const found of this.#rulesFor(user, namespace)) {
      if (typeof found === 'string') problems.push(found);
      else rules.push(...found);
    }
    return { rules, problems };
  }

  /** undefined for a role that is not there. */
  rulesOf(roleRef: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    return this.#rules.get(roleKey(roleRef.kind === 'Role' ? namespace : '', roleRef.name));
  }

  put(kind: RbacKind, object: StoredObject): void {
    const { namespace = '', name } = object.metadata;
    if (kind === 'Role' || kind === 'ClusterRole') this.#rules.set(roleKey(namespace, name), rulesIn(object));
    else for (const subject of subjectsOf(object)) this.#addBinding(namespace, subject, object);
  }

  remove(kind: RbacKind, object: StoredObject): void {
    const { namespace = '', name } = object.metadata;
    if (kind === 'Role' || kind === 'ClusterRole') this.#rules.delete(roleKey(namespace, name));
    else for (const subject of subjectsOf(object)) this.#removeBinding(namespace, subject, name);
  }

  *#rulesFor(user: User, namespace: string | undefined): Generator<readonly PolicyRule[] | string> {
    const subjects = [`User:${user.name}`, ...user.groups.map((group) => `Group:${group}`)];
    for (const place of namespace === undefined ? [''] : ['', namespace]) {
      const bindings = this.#bindings.get(place);
      if (!bindings) continue;
      for (const subject of subjects)
        for (const roleRef of bindings.get(subject)?.values() ?? [])
          yield this.rulesOf(roleRef, place) ??
            `${roleRef.kind.toLowerCase()}.${rbacGroup} "${roleRef.name}" not found`;
    }
  }

  #addBinding(namespace: string, subject: string, object: StoredObject): void {
    const place = child(this.#bindings, namespace);
    child(place, subject).set(object.metadata.name, roleRefIn(object));
  }

  #removeBinding(namespace: string, subject: string, name: string): void {
    const place = this.#bindings.get(namespace);
    const bindings = place?.get(subject);
    bindings?.delete(name);
    if (bindings?.size === 0) place?.delete(subject);
    if (place?.size === 0) this.#bindings.delete(namespace);
  }
}

function roleKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function subjectsOf(binding: StoredObject): string[] {
  return subjectsIn(binding).flatMap(({ kind, name, namespace = binding.metadata.namespace }) => {
    if (kind !== 'ServiceAccount') return [`${kind}:${name}`];
    return namespace ? [`User:${serviceAccountUser(namespace, name)}`] : [];
  });
}

function child<K, V>(map: Map<string, Map<K, V>>, key: string): Map<K, V> {
  const known = map.get(key);
  if (known) return known;
  const fresh = new Map<K, V>();
  map.set(key, fresh);
  return fresh;
}
