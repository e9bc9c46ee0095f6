/**
 * In which order roles and frameworks are thought of (Mesos' DRF sorter, src/master/allocator/mesos/sorter/drf). Roles form a tree, `a/b`
 * below `a`; at each level who has the smallest dominant share for its weight comes first, then who was thought of least often, then by
 * name. Pure.
 */
import { add, type Bag, emptyBag, scalarsOf } from '../resources.ts';

/** What is known of a role, or of a framework in one. */
export interface Standing {
  readonly allocated: Bag;
  /** How often it was given something. */
  readonly count: number;
}

export interface Measures {
  /** The cluster's scalars, in thousandths. */
  readonly totals: ReadonlyMap<string, number>;
  readonly weightOf: (path: string) => number;
}

/** The largest part that a bag is of any of the cluster's scalars, 0 to 1. */
export function dominantShare(bag: Bag, totals: ReadonlyMap<string, number>): number {
  let share = 0;
  for (const [name, milli] of scalarsOf(bag)) {
    const total = totals.get(name) ?? 0;
    if (total > 0) share = Math.max(share, milli / total);
  }
  return share;
}

/** `wanting` in the order of need. `standings` has every role that has anything, wanting or not: children count for their parents. */
export function orderRoles(
  wanting: readonly string[],
  standings: ReadonlyMap<string, Standing>,
  measures: Measures,
): string[] {
  if (wanting.length < 2) return [...wanting];
  const inOrder = (level: readonly string[], above: string): string[] => {
    const groups = Map.groupBy(level, (role) => childOf(above, role));
    return sorted([...groups.keys()], (path) => standingBelow(path, standings), measures).flatMap((path) => {
      const members = groups.get(path)!;
      return members.length === 1 ? members : inOrder(members, path);
    });
  };
  return inOrder(wanting, '');
}

/** The path one step below `above` on the way to `role`; `above` itself stands among its children. */
function childOf(above: string, role: string): string {
  if (role === above) return `${above}/.`;
  const start = above === '' ? 0 : above.length + 1;
  const end = role.indexOf('/', start);
  return end < 0 ? role : role.slice(0, end);
}

function standingBelow(path: string, standings: ReadonlyMap<string, Standing>): Standing {
  const self = path.endsWith('/.') ? path.slice(0, -2) : undefined;
  if (self !== undefined) return standings.get(self) ?? nothing;
  let [allocated, count] = [emptyBag, 0];
  for (const [role, standing] of standings) {
    if (role !== path && !role.startsWith(`${path}/`)) continue;
    allocated = add(allocated, standing.allocated);
    count += standing.count;
  }
  return { allocated, count };
}

const nothing: Standing = { allocated: emptyBag, count: 0 };

/** Names by share, count and name. */
export function sorted(names: readonly string[], standingOf: (name: string) => Standing, measures: Measures): string[] {
  if (names.length < 2) return [...names];
  const { totals, weightOf } = measures;
  return names
    .map((name) => {
      const { allocated, count } = standingOf(name);
      return { name, count, share: dominantShare(allocated, totals) / weightOf(name) };
    })
    .sort((a, b) => a.share - b.share || a.count - b.count || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name);
}
