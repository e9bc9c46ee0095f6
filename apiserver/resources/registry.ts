/** The resources that are served, by where they are served: Kubernetes' own kinds, and what CustomResourceDefinitions add to them. */
import type { Resource } from './resource.ts';

export interface GroupVersion {
  readonly group: string;
  readonly version: string;
}

export interface Group {
  readonly group: string;
  /** The most stable first. */
  readonly versions: readonly string[];
}

export interface Registry {
  find(group: string, version: string, plural: string): Resource | undefined;
  /** Built-in kinds in the order given, then custom ones by group, plural and version: the same set always in the same order. */
  all(): readonly Resource[];
  /** Those of them that have objects in the store. */
  stored(): readonly Resource[];
  /** The resources of one group and version; none if it is not served. */
  of(at: GroupVersion): readonly Resource[];
  groups(): readonly Group[];
  /** Replaces all custom kinds. A request under way goes on with the resource that it has found. */
  define(custom: readonly Resource[]): void;
  /** Grows by every change: what is derived from the registry compares it. */
  readonly revision: number;
}

/** Made anew by every change, so that finding is one look-up. */
interface Index {
  readonly all: readonly Resource[];
  readonly stored: readonly Resource[];
  readonly byPath: ReadonlyMap<string, Resource>;
  readonly byVersion: ReadonlyMap<string, readonly Resource[]>;
  readonly groups: readonly Group[];
}

export function createRegistry(builtins: readonly Resource[]): Registry {
  let index = indexOf(builtins);
  let revision = 1;
  return {
    find: (group, version, plural) => index.byPath.get(`${group}/${version}/${plural}`),
    all: () => index.all,
    stored: () => index.stored,
    of: ({ group, version }) => index.byVersion.get(`${group}/${version}`) ?? [],
    groups: () => index.groups,
    define(custom) {
      const all = [...builtins, ...custom.toSorted(compareResources)];
      if (all.length === index.all.length && all.every((resource, i) => resource === index.all[i])) return;
      index = indexOf(all);
      revision++;
    },
    get revision() {
      return revision;
    },
  };
}

function indexOf(all: readonly Resource[]): Index {
  const byPath = new Map<string, Resource>();
  for (const resource of all) {
    const path = `${resource.group}/${resource.version}/${resource.plural}`;
    // A built-in kind comes first and cannot be replaced.
    if (!byPath.has(path)) byPath.set(path, resource);
  }
  const served = [...byPath.values()];
  const byVersion = Map.groupBy(served, ({ group, version }) => `${group}/${version}`);
  return { all, stored: all.filter(({ answer }) => !answer), byPath, byVersion, groups: groupsOf(served) };
}

/** Groups in order of first appearance. */
function groupsOf(resources: readonly Resource[]): Group[] {
  return [...Map.groupBy(resources, ({ group }) => group)].map(([group, members]) => ({
    group,
    versions: [...new Set(members.map(({ version }) => version))].sort(compareVersions),
  }));
}

function compareResources(one: Resource, other: Resource): number {
  return (
    compareText(one.group, other.group) ||
    compareText(one.plural, other.plural) ||
    compareVersions(one.version, other.version)
  );
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** v2 before v1 before v1beta2 before v1beta1 before v1alpha1. */
export function compareVersions(one: string, other: string): number {
  const rank = (version: string): number => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
    if (!match) return 0;
    const stage = match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0;
    return stage * 1e6 + Number(match[1]) * 1e3 + Number(match[3] ?? 0) + 1;
  };
  return rank(other) - rank(one) || compareText(one, other);
}
