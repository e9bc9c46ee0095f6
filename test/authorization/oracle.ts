/**
 * Who may do what, worked out a second time from the text of the roles: nothing here is shared with the server. It tries every rule of every
 * binding and knows no index, so that it can be wrong only about what a rule means.
 */
import { isConfinedTo } from './confinement.ts';

export interface Wish {
  readonly verb: string;
  readonly group: string;
  /** With the subresource behind a slash. */
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  /** Field selector of a list or watch. */
  readonly fields?: string;
}

export interface Who {
  readonly name: string;
  readonly groups: readonly string[];
}

interface Rule {
  readonly verbs: string[];
  readonly apiGroups?: string[];
  readonly resources?: string[];
  readonly resourceNames?: string[];
  readonly nonResourceURLs?: string[];
}

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly rules?: Rule[] | null;
  readonly aggregationRule?: { readonly clusterRoleSelectors: { readonly matchLabels: Record<string, string> }[] };
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly subjects?: { readonly kind: string; readonly name: string; readonly namespace?: string }[];
}

export class Oracle {
  readonly #manifests: readonly Manifest[];

  constructor(manifests: readonly Manifest[]) {
    this.#manifests = manifests;
  }

  may(who: Who, wish: Wish): boolean {
    if (who.groups.includes('system:masters')) return true;
    return isConfinedTo(who, wish) && this.rulesOf(who, wish.namespace).some((rule) => fits(rule, wish));
  }

  mayVisit(who: Who, path: string): boolean {
    const fitting = (url: string) => (url.slice(-1) === '*' ? path.startsWith(url.slice(0, -1)) : url === path);
    return (
      who.groups.includes('system:masters') ||
      this.rulesOf(who, undefined).some(
        ({ verbs, nonResourceURLs = [] }) =>
          (verbs.includes('get') || verbs.includes('*')) && nonResourceURLs.some(fitting),
      )
    );
  }

  /** Whether somebody may give this role away by a binding in the namespace, or for the whole cluster. */
  mayBind(who: Who, role: { readonly kind: string; readonly name: string }, namespace: string | undefined): boolean {
    const resource = role.kind === 'Role' ? 'roles' : 'clusterroles';
    const group = 'rbac.authorization.k8s.io';
    const place = namespace === undefined ? {} : { namespace };
    return (
      this.may(who, { verb: 'bind', group, resource, name: role.name, ...place }) ||
      this.holds(who, this.rulesIn(role, namespace), namespace)
    );
  }

  /** Whether each single right of the rules is somewhere in what somebody has. */
  holds(who: Who, rules: readonly Rule[], namespace: string | undefined): boolean {
    if (who.groups.includes('system:masters')) return true;
    const own = this.rulesOf(who, namespace);
    return rules.every(({ verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] }) =>
      verbs.every(
        (verb) =>
          apiGroups.every((group) =>
            resources.every((resource) =>
              (resourceNames.length > 0 ? resourceNames : [undefined]).every((name) =>
                own.some((rule) => fits(rule, { verb, group, resource, ...(name === undefined ? {} : { name }) })),
              ),
            ),
          ) &&
          nonResourceURLs.every((url) =>
            own.some(
              (rule) =>
                (rule.verbs.includes('*') || rule.verbs.includes(verb)) &&
                (rule.nonResourceURLs ?? []).some(
                  (mine) => mine === url || (mine.endsWith('*') && url.startsWith(mine.slice(0, -1))),
                ),
            ),
          ),
      ),
    );
  }

  rulesOf(who: Who, namespace: string | undefined): Rule[] {
    return this.#manifests
      .filter(({ kind, metadata }) =>
        kind === 'ClusterRoleBinding' ? true : kind === 'RoleBinding' && metadata.namespace === namespace,
      )
      .filter(({ subjects = [], metadata }) => subjects.some((subject) => isMeant(subject, metadata.namespace, who)))
      .flatMap(({ roleRef, metadata }) => this.rulesIn(roleRef!, metadata.namespace));
  }

  rulesIn(
    role: { readonly kind: string; readonly name: string },
    namespace: string | undefined,
    seen: string[] = [],
  ): Rule[] {
    const found = this.#manifests.find(
      ({ kind, metadata }) =>
        kind === role.kind &&
        metadata.name === role.name &&
        (kind === 'ClusterRole' || metadata.namespace === namespace),
    );
    if (!found?.aggregationRule) return found?.rules ?? [];
    // Worked out from the labels, whatever the server has written into the role.
    const parts = this.#manifests.filter(
      ({ kind, metadata }) =>
        kind === 'ClusterRole' &&
        !seen.includes(metadata.name) &&
        metadata.name !== role.name &&
        found.aggregationRule!.clusterRoleSelectors.some(({ matchLabels }) =>
          Object.entries(matchLabels).every(([key, value]) => metadata.labels?.[key] === value),
        ),
    );
    return parts.flatMap(({ metadata }) =>
      this.rulesIn({ kind: 'ClusterRole', name: metadata.name }, undefined, [...seen, role.name]),
    );
  }
}

function isMeant(
  subject: { readonly kind: string; readonly name: string; readonly namespace?: string },
  home: string | undefined,
  who: Who,
): boolean {
  if (subject.kind === 'User') return subject.name === who.name;
  if (subject.kind === 'Group') return who.groups.includes(subject.name);
  return who.name === ['system', 'serviceaccount', subject.namespace ?? home, subject.name].join(':');
}

function fits(rule: Rule, { verb, group, resource, name }: Wish): boolean {
  const listed = (list: string[] = [], value: string) => list.some((item) => item === '*' || item === value);
  const part = resource.includes('/') ? `*/${resource.split('/')[1]}` : resource;
  return (
    listed(rule.verbs, verb) &&
    listed(rule.apiGroups, group) &&
    (listed(rule.resources, resource) || listed(rule.resources, part)) &&
    (!rule.resourceNames?.length || (name !== undefined && rule.resourceNames.includes(name)))
  );
}
