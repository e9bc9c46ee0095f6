/** The resources that are served, by where they are served. */
import type { Resource } from './resource.ts';

export interface GroupVersion {
  readonly group: string;
  readonly version: string;
}

export interface Registry {
  find(group: string, version: string, plural: string): Resource | undefined;
  /** In the order in which they were added. */
  all(): readonly Resource[];
  /** Adds or replaces one: kinds may come and change while the server runs. */
  add(resource: Resource): void;
  remove(resource: Resource): void;
  /** Grows by every change: caches of what is derived from the registry compare it. */
  readonly revision: number;
}

const keyOf = ({ group, version, plural }: GroupVersion & { plural: string }) => `${group}/${version}/${plural}`;

export function createRegistry(resources: readonly Resource[]): Registry {
  const byKey = new Map(resources.map((resource) => [keyOf(resource), resource]));
  let revision = 1;
  return {
    find: (group, version, plural) => byKey.get(keyOf({ group, version, plural })),
    all: () => [...byKey.values()],
    add(resource) {
      byKey.set(keyOf(resource), resource);
      revision++;
    },
    remove(resource) {
      byKey.delete(keyOf(resource));
      revision++;
    },
    get revision() {
      return revision;
    },
  };
}

/** Groups in order of first appearance, each with its versions, the most stable first as Kubernetes sorts them. */
export function groupsOf(registry: Registry): { readonly group: string; readonly versions: readonly string[] }[] {
  const versions = new Map<string, Set<string>>();
  for (const { group, version } of registry.all()) {
    const known = versions.get(group) ?? new Set();
    versions.set(group, known.add(version));
  }
  return [...versions].map(([group, set]) => ({ group, versions: [...set].sort(compareVersions) }));
}

/** v2 before v1 before v1beta2 before v1beta1 before v1alpha1. */
export function compareVersions(one: string, other: string): number {
  const rank = (version: string): number => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
    if (!match) return 0;
    const stage = match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0;
    return stage * 1e6 + Number(match[1]) * 1e3 + Number(match[3] ?? 0) + 1;
  };
  return rank(other) - rank(one) || (one < other ? -1 : one > other ? 1 : 0);
}
