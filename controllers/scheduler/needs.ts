/**
 * What a machine needs of its host beside cores and memory: the Gluster volumes of its Volumes, and the bridges and interfaces of its
 * networks of the site. A host that has told its list without one of them is known not to have it. Pure.
 */
import type { Host } from '#lib/api/generated/host.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { type Heartbeat, namesMax } from '#lib/api/messages.ts';
import { partFor } from './segments.ts';

type Sort = 'glusterVolumes' | 'bridges' | 'nics';

/** What the configuration of a host allows, by its own word; undefined: it has not told. */
export type Reach = { readonly [sort in Sort]?: readonly string[] | undefined };

export interface Need {
  readonly sort: Sort;
  readonly name: string;
}

/** At least one. */
export interface Needs {
  /** The same text, the same needs. */
  readonly text: string;
  readonly all: readonly Need[];
}

/** undefined: it needs nothing, as most machines. */
export function needsOf({ status }: VirtualMachine, cluster: string): Needs | undefined {
  const names: Readonly<Record<Sort, Set<string>>> = { glusterVolumes: new Set(), bridges: new Set(), nics: new Set() };
  for (const { glusterVolume } of status?.volumes ?? []) names.glusterVolumes.add(glusterVolume);
  for (const { segment } of status?.networks ?? []) {
    const { bridge, parentNIC } = segment ? partFor(segment, cluster) : {};
    if (bridge !== undefined) names.bridges.add(bridge);
    else if (parentNIC !== undefined) names.nics.add(parentNIC);
  }
  const sorts = Object.keys(names) as Sort[];
  const all = sorts.flatMap((sort) => [...names[sort]].sort().map((name) => ({ sort, name })));
  return all.length === 0 ? undefined : { text: JSON.stringify(all.map(({ sort, name }) => [sort, name])), all };
}

/** The first that a host with this reach is known not to have. */
export function lackOf({ all }: Needs, reach: Reach | undefined): Need | undefined {
  return all.find(({ sort, name }) => reach?.[sort]?.includes(name) === false);
}

/** The host has told that it has all of it. */
export function isMetBy({ all }: Needs, reach: Reach | undefined): boolean {
  return all.every(({ sort, name }) => reach?.[sort]?.includes(name) === true);
}

const refusals: Readonly<Record<Sort, (name: string) => string>> = {
  glusterVolumes: (name) =>
    `that may not use the Gluster volume ${name} (add it to gluster.volumes in their configuration)`,
  bridges: (name) => `that let no guests onto bridge ${name} (add it to segments.bridges in their configuration)`,
  nics: (name) => `that let no guests onto interface ${name} (add it to segments.nics in their configuration)`,
};

/** To be said of a number of hosts: "3 that may not use ...". */
export function refusalFor({ sort, name }: Need): string {
  return refusals[sort](name);
}

export function reachOf({ volumes, facts }: Pick<Heartbeat, 'volumes' | 'facts'>): Reach {
  return {
    glusterVolumes: whole(volumes?.names, 63),
    bridges: whole(facts.segments?.bridges, 15),
    nics: whole(facts.segments?.nics, 15),
  };
}

type WrittenFacts = NonNullable<NonNullable<Host['status']>['facts']>;

/** As the Host object keeps it. */
export function writtenReach({ glusterVolumes, bridges, nics }: Reach): WrittenFacts {
  return { ...(glusterVolumes && { glusterVolumes }), ...(bridges && nics && { segments: { bridges, nics } }) };
}

export function readReach({ glusterVolumes, segments }: WrittenFacts): Reach {
  return { glusterVolumes, ...segments };
}

/** Longer names no machine can ask for, and no Host object can hold. */
function whole(names: readonly string[] | undefined, longest: number): readonly string[] | undefined {
  return names && names.length <= namesMax ? names.filter(({ length }) => length <= longest) : undefined;
}
