/**
 * Which names each definition may use. Within a group no two definitions share a plural, singular or short name, nor a kind: whoever has a
 * name keeps it, and of those who want one the oldest gets it. All replicas come to the same answer, whatever they see first. Pure.
 */
import type { Json } from '#apiserver/json/json.ts';
import { type CrdNames, type CrdStatus, isTrue, type StoredCrd } from '#apiserver/resources/crd.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { setCondition } from './conditions.ts';

type Names = Pick<CrdNames, 'plural' | 'singular' | 'shortNames' | 'kind' | 'listKind'>;

/** Names in use in one group, by who uses them. */
interface Holder {
  readonly name: string;
  readonly names: Names;
}

/** The status of each definition by its name. `crds` in the order of their creation. */
export function settleNames(
  crds: readonly StoredCrd[],
  builtins: readonly Resource[],
  now: string,
): Map<string, CrdStatus> {
  const holders = new Map<string, Holder[]>();
  const holdersOf = (group: string) => {
    const known = holders.get(group) ?? [];
    holders.set(group, known);
    return known;
  };
  for (const resource of builtins) holdersOf(resource.group).push({ name: '', names: resource });
  for (const { metadata, spec, status } of crds)
    if (status?.acceptedNames) holdersOf(spec.group).push({ name: metadata.name, names: status.acceptedNames });
  const settled = new Map<string, CrdStatus>();
  for (const crd of crds) {
    if (crd.status && isSettled(crd, crd.status)) {
      settled.set(crd.metadata.name, crd.status);
      continue;
    }
    const group = holdersOf(crd.spec.group);
    const others = group.filter(({ name }) => name !== crd.metadata.name).map(({ names }) => names);
    const status = settle(crd, others, now);
    settled.set(crd.metadata.name, status);
    if (status.acceptedNames) group.push({ name: crd.metadata.name, names: status.acceptedNames });
  }
  return settled;
}

/** It has what it asks for, so nobody else's names matter to it. */
function isSettled({ spec }: StoredCrd, status: CrdStatus): boolean {
  const same = sameJson(spec.names as unknown as Json, status.acceptedNames as unknown as Json | undefined);
  return same && isTrue(status, 'NamesAccepted') && isTrue(status, 'Established');
}

interface Conflict {
  readonly reason: string;
  readonly message: string;
}

function settle({ spec, status }: StoredCrd, others: readonly Names[], now: string): CrdStatus {
  const resources = new Set(
    others.flatMap(({ plural, singular, shortNames }) => [plural, singular ?? '', ...(shortNames ?? [])]),
  );
  const kinds = new Set(others.flatMap(({ kind, listKind }) => [kind, listKind ?? '']));
  const wanted = spec.names;
  const had = status?.acceptedNames;
  const conflicts: Conflict[] = [];
  const take = (reason: string, asked: string, old: string | undefined, used: ReadonlySet<string>) => {
    if (asked === old || asked === '' || !used.has(asked)) return asked;
    conflicts.push({ reason, message: `${JSON.stringify(asked)} is already in use` });
    return old ?? '';
  };
  const taken = wanted.shortNames?.filter((name) => !had?.shortNames?.includes(name) && resources.has(name)) ?? [];
  const acceptedNames: CrdNames = {
    plural: take('PluralConflict', wanted.plural, had?.plural, resources),
    singular: take('SingularConflict', wanted.singular ?? '', had?.singular, resources),
    ...shortNamesOf(taken.length > 0 ? had?.shortNames : wanted.shortNames),
    kind: take('KindConflict', wanted.kind, had?.kind, kinds),
    listKind: take('ListKindConflict', wanted.listKind ?? '', had?.listKind, kinds),
    ...(wanted.categories ? { categories: wanted.categories } : {}),
  };
  for (const name of taken)
    conflicts.push({ reason: 'ShortNamesConflict', message: `${JSON.stringify(name)} is already in use` });
  return { ...status, acceptedNames, conditions: conditionsOf(status, conflicts.at(-1), now) };
}

function shortNamesOf(shortNames: readonly string[] | undefined): Pick<CrdNames, 'shortNames'> {
  return shortNames ? { shortNames } : {};
}

function conditionsOf(status: CrdStatus | undefined, conflict: Conflict | undefined, now: string) {
  const accepted = conflict
    ? { type: 'NamesAccepted', status: 'False', ...conflict }
    : { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' };
  const conditions = setCondition(status?.conditions ?? [], accepted, now);
  // Once established it stays so: its objects are there.
  if (isTrue(status, 'Established')) return conditions;
  const established = conflict
    ? { status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' }
    : { status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' };
  return setCondition(conditions, { type: 'Established', ...established }, now);
}
