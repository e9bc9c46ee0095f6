import { ApiError } from '#lib/std/errors.ts';

/** A larger value is refused by every back end, so that an object that fits one fits the other (etcd's own limit is 1.5 MiB). */
export const maxValueBytes = 1_280 * 1024;

/** Rejects what etcd would refuse with an error that names no object. */
export function checkSize(key: string, value: Uint8Array): void {
  if (value.byteLength <= maxValueBytes) return;
  throw new ApiError(
    'RequestEntityTooLarge',
    `Cannot store ${key}: it has ${value.byteLength} bytes, at most ${maxValueBytes} are allowed`,
  );
}

/** The first key behind all keys that begin with `prefix`, which must not be empty and end in an ASCII character. */
export function prefixEnd(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

/** An empty prefix or one without the final `/` would also match what only begins alike: `a` and `ab`. */
export function checkPrefix(prefix: string): void {
  if (!prefix.endsWith('/')) throw new TypeError(`A prefix must end in "/", this one does not: "${prefix}"`);
}
