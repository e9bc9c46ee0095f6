import { union } from './field-set.ts';
import { identityOf, type Manager, type Managers } from './managers.ts';

/** Kubernetes' own figure: an object that is written by ever new names must not grow for ever. */
const maxUpdaters = 10;

/** Folds the oldest of too many updaters into one per version, named ancient-changes. */
export function capUpdaters(managers: Managers): Managers {
  const updaters = [...managers].filter(([, { operation }]) => operation === 'Update');
  if (updaters.length <= maxUpdaters) return managers;
  const result = new Map(managers);
  const firsts = new Map<string, string>();
  let count = updaters.length;
  for (const [id, manager] of updaters.sort(byAge)) {
    if (count <= maxUpdaters) break;
    const first = firsts.get(manager.apiVersion);
    if (first === undefined) {
      firsts.set(manager.apiVersion, id);
      continue;
    }
    const bucket = { ...manager, name: 'ancient-changes', subresource: '' };
    const bucketId = identityOf(bucket);
    let older = result.get(bucketId);
    if (!older) {
      older = result.get(first)!;
      result.delete(first);
    }
    result.delete(id);
    result.set(bucketId, { ...bucket, fields: union(older.fields, manager.fields) });
    count--;
  }
  return result;
}

function byAge([oneId, one]: [string, Manager], [otherId, other]: [string, Manager]): number {
  const [a, b] = [one.time ?? '', other.time ?? ''];
  return a < b ? -1 : a > b ? 1 : oneId < otherId ? -1 : 1;
}
