/** Which Image of a family a machine gets. Pure. */
import type { Image } from '#lib/api/generated/index.ts';

export interface FamilyAsked {
  /** All Images of the family, as they are in the cache. */
  readonly images: readonly Image[];
  /** The Cluster that the machine is for; any if undefined. */
  readonly cluster: string | undefined;
  /** Name of the Image that another machine of the same pool and revision has got. */
  readonly siblingImage: string | undefined;
}

/**
 * What its siblings have, so that one pool does not mix versions; else the newest that is in the machine's Cluster, or in all of them, or in any.
 * Undefined if there is none that may be used yet.
 */
export function chooseImage({ images, cluster, siblingImage }: FamilyAsked): Image | undefined {
  const usable = usableOf(images, cluster).toSorted(newestFirst);
  const isIn = ({ status }: Image) => {
    const rows = (status?.clusters ?? []).filter(({ name }) => cluster === undefined || name === cluster);
    return status?.digest !== undefined && rows.some(({ phase }) => phase === 'Ready');
  };
  const ready = usable.filter(isIn);
  const same = ready.find(({ metadata }) => metadata.name === siblingImage);
  // One that is on its way to some Clusters would keep the machine out of them.
  const everywhere = ready.find(({ status }) => cluster !== undefined || status?.phase === 'Ready');
  return same ?? everywhere ?? ready[0];
}

/** Those that may be chosen once they are ready. */
export function usableOf(images: readonly Image[], cluster: string | undefined): readonly Image[] {
  return images.filter(({ metadata, spec, status }) => {
    // In the Cluster of its snapshot, and nowhere else.
    const isElsewhere = spec.source.snapshot !== undefined && status?.clusters?.[0]?.name !== cluster;
    return !metadata.deletionTimestamp && !spec.deprecated && !isElsewhere;
  });
}

function newestFirst(a: Image, b: Image): number {
  const [ofA, ofB] = [a, b].map(({ metadata }) => metadata.creationTimestamp ?? '');
  if (ofA !== ofB) return ofA! < ofB! ? 1 : -1;
  return a.metadata.name < b.metadata.name ? 1 : -1;
}
