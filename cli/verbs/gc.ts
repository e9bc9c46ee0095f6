/** gc: what is on Gluster volumes and belongs to no Volume, and its end. */

import { formatAge } from '#lib/api/duration.ts';
import type { Cluster } from '#lib/api/generated/cluster.ts';
import type { Volume } from '#lib/api/generated/volume.ts';
import { annotations } from '#lib/api/names.ts';
import { systemClock } from '#lib/std/clock.ts';
import { UsageError } from '#lib/std/main.ts';
import type { Output } from '../output.ts';
import { type ApiResource, discover, displayName, pathOf, resolveWord } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { printTable } from '../table.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

type Item = NonNullable<NonNullable<NonNullable<Cluster['status']>['orphanVolumes']>['items']>[number];

/** Of one Cluster. */
export interface Found {
  readonly cluster: string;
  readonly items: readonly Item[];
  /** More than these. */
  readonly more: number;
  readonly unmarked: number;
}

export const gc: Verb = {
  name: 'gc',
  summary: 'Show data on Gluster volumes that belongs to no Volume, and remove it',
  help: `Usage: factoryctl gc [UID…] [--cluster NAME] [--confirm] [flags]

Examples:
  factoryctl gc                                          What is there, how large, how old, and why nobody owns it
  factoryctl gc --confirm                                Remove all of that, for good
  factoryctl gc 0f8fad5b-d9cb-469f-a165-70867728950e --confirm   This one alone

Flags:
      --cluster NAME     Of this Cluster alone
      --confirm          Remove what is shown. There is no way back
${connectionHelp}

Data stay when a Volume is deleted whose reclaimPolicy is Retain. Hosts look every 10 minutes. Only what bears the mark of this installation, has no
Volume in any namespace and is used by no host or machine is removed. What has no mark at all is counted, and yours to look at.`,
  async run(args, out) {
    const own = { confirm: { type: 'boolean' }, cluster: { type: 'string' } } as const;
    const { values, positionals } = parseFlags('gc', args, { ...connectionFlags, ...own });
    const session = connect(values);
    const resources = await discover(session);
    const found = (await look(session, resources)).filter(({ cluster }) =>
      [cluster, undefined].includes(values.cluster),
    );
    if (values.cluster !== undefined && found.length === 0)
      throw new UsageError(`There is no Cluster "${values.cluster}". See "factoryctl get clusters".`);
    const shown = chosen(found, positionals);
    print(shown, out, systemClock.now());
    if (!values.confirm) return exit.ok;
    for (const { cluster, items } of shown) {
      const going = found.find((one) => one.cluster === cluster)!.items.filter(({ reason }) => reason === 'Removing');
      await remove(session, resources, cluster, removable(items), going, out);
    }
    return exit.ok;
  },
};

async function look(session: Session, resources: readonly ApiResource[]): Promise<readonly Found[]> {
  const list = async <T>(word: string) => {
    const path = pathOf(resolveWord(resources, word)[0]!, undefined);
    return (await session.request<{ readonly items: readonly T[] }>('GET', path)).items;
  };
  // First what is on the hosts: what is made afterwards has a Volume then.
  const clusters = await list<Cluster>('clusters');
  return findings(clusters, await list<Volume>('volumes'));
}

/** Volumes of another Cluster may be on the same Gluster volume, and its own cluster server alone knows them. */
export function findings(clusters: readonly Cluster[], volumes: readonly Volume[]): readonly Found[] {
  const known = new Set(volumes.map(({ metadata }) => metadata.uid));
  return clusters.map(({ metadata, status }) => {
    const { items = [], count = 0, unmarked = 0 } = status?.orphanVolumes ?? {};
    return {
      cluster: metadata.name,
      items: items.filter(({ uid }) => !known.has(uid)),
      more: count - items.length,
      unmarked,
    };
  });
}

/** Throws UsageError for a uid that was not found. */
export function chosen(found: readonly Found[], uids: readonly string[]): readonly Found[] {
  if (uids.length === 0) return found;
  const all = new Set(found.flatMap(({ items }) => items.map(({ uid }) => uid)));
  const missing = uids.find((uid) => !all.has(uid));
  if (missing !== undefined)
    throw new UsageError(`Nothing without a Volume was found under the uid "${missing}". See "factoryctl gc".`);
  return found.map((one) => ({ ...one, more: 0, items: one.items.filter(({ uid }) => uids.includes(uid)) }));
}

const why: Readonly<Record<Item['reason'], string>> = {
  NoVolume: 'no Volume has this uid',
  InUse: 'no Volume has this uid, but it is in use',
  Removing: 'is being removed',
};

export function print(found: readonly Found[], out: Output, nowMs: number): void {
  const rows = found.flatMap(({ cluster, items }) =>
    items.map(({ uid, glusterVolume, type = '', used = '', made, reason, message }) => [
      ...[cluster, glusterVolume, uid, type, used],
      made === undefined ? '' : formatAge(nowMs - Date.parse(made)),
      message === undefined ? why[reason] : `${why[reason]}: ${message}`,
    ]),
  );
  if (rows.length === 0) out.line('Nothing was found that belongs to no Volume.');
  else printTable(['CLUSTER', 'GLUSTER', 'UID', 'TYPE', 'USED', 'AGE', 'WHY'], rows, out);
  for (const { cluster, more, unmarked } of found) {
    if (more > 0) out.line(`${cluster}: and ${more} more, which are shown when these are gone`);
    if (unmarked > 0)
      out.line(`${cluster}: ${unmarked} directories without a mark (volume.json): look at them on a host, in cf/`);
  }
}

export function removable(items: readonly Item[]): readonly string[] {
  return items.filter(({ reason }) => reason === 'NoVolume').map(({ uid }) => uid);
}

async function remove(
  session: Session,
  resources: readonly ApiResource[],
  cluster: string,
  uids: readonly string[],
  going: readonly Item[],
  out: Output,
): Promise<void> {
  if (uids.length === 0) return;
  const resource = resolveWord(resources, 'clusters')[0]!;
  const body = {
    metadata: { annotations: { [annotations.removeVolumes]: [...going.map(({ uid }) => uid), ...uids].join(',') } },
  };
  await session.request('PATCH', pathOf(resource, undefined, cluster), {
    body,
    contentType: 'application/merge-patch+json',
  });
  out.line(`${displayName(resource, cluster)}: its hosts remove ${uids.length}. "factoryctl gc" shows what is left`);
}
