/** All roles and bindings in memory, indexed by whom they speak of: a request is decided without a look at the store. */
import type { Attributes } from '#apiserver/auth/attributes.ts';
import type { Authorizer } from '#apiserver/auth/authorize.ts';
import { parseServiceAccountUser, serviceAccountUser, type User } from '#apiserver/auth/user.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { roleRefIn, rulesIn, subjectsIn } from './read.ts';
import { compileRule, type PolicyRule, type RoleRef, rbacGroup } from './rule.ts';

export type RbacKind = 'Role' | 'ClusterRole' | 'RoleBinding' | 'ClusterRoleBinding';

/** A binding that speaks of a user. */
interface Grant {
  /** Namespace of the binding; empty for the whole cluster. */
  readonly place: string;
  readonly binding: string;
  readonly subject: string;
  readonly roleRef: RoleRef;
  /** undefined if it is not there. */
  readonly role: Role | undefined;
}

interface Role {
  readonly rules: readonly PolicyRule[];
  /** The rules, ready to be asked. */
  readonly tests: readonly ((attributes: Attributes) => boolean)[];
}

/** Rules that apply to a user, and what went wrong in finding them: a binding may name a role that is not there. */
export interface Resolved {
  readonly rules: readonly PolicyRule[];
  readonly problems: readonly string[];
}

export class Policy {
  readonly #roles = new Map<string, Role>();
  /** By namespace, which is empty for the whole cluster, then by subject, then by the binding's name. */
  readonly #bindings = new Map<string, Map<string, Map<string, RoleRef>>>();

  readonly authorizer: Authorizer = (user, attributes) => {
    const namespace = 'path' in attributes ? undefined : attributes.namespace;
    const problems: string[] = [];
    for (const grant of this.#grantsTo(user, namespace)) {
      if (!grant.role) problems.push(notThere(grant));
      else if (grant.role.tests.some((test) => test(attributes))) return { verdict: 'allow', reason: why(grant) };
    }
    return problems.length === 0 ? { verdict: 'none' } : { verdict: 'none', reason: `RBAC: [${problems.join(', ')}]` };
  };

  /** Everything that roles give a user at the scope of the cluster, and in the namespace if one is named. */
  resolve(user: User, namespace: string | undefined): Resolved {
    const grants = [...this.#grantsTo(user, namespace)];
    return {
      rules: grants.flatMap(({ role }) => role?.rules ?? []),
      problems: grants.filter(({ role }) => !role).map(notThere),
    };
  }

  /** undefined for a role that is not there. */
  rulesOf(roleRef: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    return this.#roleOf(roleRef, namespace)?.rules;
  }

  put(kind: RbacKind, object: StoredObject): void {
    const { namespace = '', name } = object.metadata;
    if (kind === 'Role' || kind === 'ClusterRole') this.#roles.set(roleKey(namespace, name), readRole(object));
    else for (const subject of subjectsOf(object)) this.#addBinding(namespace, subject, object);
  }

  remove(kind: RbacKind, object: StoredObject): void {
    const { namespace = '', name } = object.metadata;
    if (kind === 'Role' || kind === 'ClusterRole') this.#roles.delete(roleKey(namespace, name));
    else for (const subject of subjectsOf(object)) this.#removeBinding(namespace, subject, name);
  }

  *#grantsTo(user: User, namespace: string | undefined): Generator<Grant> {
    const subjects = [`User:${user.name}`, ...user.groups.map((group) => `Group:${group}`)];
    for (const place of namespace === undefined ? [''] : ['', namespace]) {
      const bindings = this.#bindings.get(place);
      if (!bindings) continue;
      for (const subject of subjects)
        for (const [binding, roleRef] of bindings.get(subject) ?? [])
          yield { place, binding, roleRef, subject, role: this.#roleOf(roleRef, place) };
    }
  }

  #roleOf({ kind, name }: RoleRef, namespace: string): Role | undefined {
    return this.#roles.get(roleKey(kind === 'Role' ? namespace : '', name));
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

/** In the words of Kubernetes. */
function why({ place, binding, roleRef, subject }: Grant): string {
  const by = place === '' ? `ClusterRoleBinding "${binding}"` : `RoleBinding "${binding}/${place}"`;
  return `RBAC: allowed by ${by} of ${roleRef.kind} "${roleRef.name}" to ${described(subject)}`;
}

function described(subject: string): string {
  const name = subject.slice(subject.indexOf(':') + 1);
  const account = subject.startsWith('User:') ? parseServiceAccountUser(name) : undefined;
  return account ? `ServiceAccount "${account.name}/${account.namespace}"` : `${subject.split(':')[0]} "${name}"`;
}

function notThere({ roleRef }: Grant): string {
  return `${roleRef.kind.toLowerCase()}.${rbacGroup} "${roleRef.name}" not found`;
}

function readRole(object: StoredObject): Role {
  const rules = rulesIn(object);
  return { rules, tests: rules.map(compileRule) };
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
