/** How hosts and cluster servers speak of many images in few words. */
import { createHash } from 'node:crypto';

/** Digits of a digest that tell images of one cluster apart. */
export const cachedDigits = 16;

/** What a file in a store or a cache of images is named by. */
export const digestPattern = /^[0-9a-f]{64}$/;

/** The same for the same files. */
export function storeId(digests: readonly string[]): string {
  return createHash('sha256').update(digests.toSorted().join()).digest('hex').slice(0, 16);
}
