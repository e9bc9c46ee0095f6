/** What a Disk is made with, and who needs that for how long. */
import type { Volume } from './generated/volume.ts';

export type SourceKind = keyof NonNullable<Volume['spec']['sources']>;

/** The keys of what it names: one, or none. */
export function sourceKeys({ metadata, spec }: Volume): Readonly<Partial<Record<SourceKind, string>>> {
  const { image, snapshot, volume } = spec.sources ?? {};
  const inside = (name: string, namespace = metadata.namespace) => `${namespace}/${name}`;
  return {
    ...(image && { image: inside(image.name, image.namespace) }),
    ...(snapshot && { snapshot: inside(snapshot.name) }),
    ...(volume && { volume: inside(volume.name) }),
  };
}

/** It needs its source: hosts may copy at any moment. */
export function isFilling({ spec, status }: Volume): boolean {
  return spec.sources !== undefined && status?.backend?.state !== 'Made' && status?.backend?.state !== 'Removed';
}
