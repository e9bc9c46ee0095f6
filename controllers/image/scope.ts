import type { Image, VMSnapshot } from '#lib/api/generated/index.ts';

/** The world of one image, read once. */
export interface Scope {
  readonly image: Image;
  /** Names of all Clusters that are not being deleted. */
  readonly clusters: readonly string[];
  /** How many machines use it. */
  readonly users: number;
  /** Names of the Volumes that are being made with what it has. */
  readonly filling: readonly string[];
  /** Their keys, sorted: costs a look at each. */
  readonly userNames: () => readonly string[];
  /** It stands on this; `gone` if there is none. undefined for other sources, and until it was asked for. */
  snapshot: VMSnapshot | 'gone' | undefined;
  /** Value of the annotation restarted-at, or empty. */
  readonly restartedAt: string;
  /** The annotation changed since it was last acted on. */
  readonly retry: boolean;
  holdStatus: boolean;
}
