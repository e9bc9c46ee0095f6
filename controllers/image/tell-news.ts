/** Tells users by events what became of an image in a cluster. */
import { done, type Phase } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { type Row, sumOf } from './rows.ts';
import type { Scope } from './scope.ts';

export interface News {
  readonly tell: Phase<Scope>;
  /** The image is going. */
  readonly forget: Phase<Scope>;
}

/** What is wrong with a row for good. */
interface Trouble {
  readonly reason: 'ImageFailed' | 'ImageLost' | 'SourceChanged';
  readonly message: string;
}

/** Each once, as long as this process lives: what an image says when it is seen first was told by whoever saw it before. */
export function newsOf({ events }: Pick<Deps, 'events'>): News {
  const told = new Map<string, ReadonlySet<string>>();
  return {
    tell({ image }) {
      const { uid } = image.metadata;
      const { clusters = [], digest } = image.status ?? {};
      const { disagreeing } = sumOf(clusters, digest);
      const troubles = clusters.flatMap((row) => troubleOf(row, row.name === disagreeing?.name) ?? []);
      const before = told.get(uid);
      told.set(uid, new Set(troubles.map(({ message }) => message)));
      if (!before) return done;
      for (const { reason, message } of troubles) if (!before.has(message)) events.warning(image, reason, message);
      return done;
    },
    forget({ image }) {
      told.delete(image.metadata.uid);
      return done;
    },
  };
}

function troubleOf(row: Row, disagrees: boolean): Trouble | undefined {
  const { name, phase, reason, message = 'no details', digest } = row;
  if (disagrees)
    return { reason: 'SourceChanged', message: `${name} was given other bytes (${digest}) than the first cluster` };
  if (phase === 'Lost') return { reason: 'ImageLost', message: `${name}: ${message}` };
  if (phase !== 'Failed') return undefined;
  return { reason: reason === 'SourceChanged' ? 'SourceChanged' : 'ImageFailed', message: `${name}: ${message}` };
}
