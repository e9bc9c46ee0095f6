/**
 * JSON with whole 64-bit integers. Mesos writes them as numbers, and JSON.parse rounds what is beyond 2^53: harmless in a time that is
 * only looked at, not in one that is sent back and must be equal, such as the window of a maintenance schedule.
 */

/** Like JSON.parse, but integers that a number cannot hold exactly become bigint. */
export function parseLossless(text: string): unknown {
  // Fewer than 16 digits in a row are always exact; looking first spares the slow path for nearly all messages.
  return /\d{16}/.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
}

function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? '';
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** Like JSON.stringify, with a bigint written as the number it is. */
export function stringifyLossless(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  // There is a bigint in it (or a circle, which throws again).
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'bigint' ? rawJson(inner.toString()) : inner,
  );
}

/** In Node since 22, not yet in TypeScript's library. */
const rawJson = (JSON as unknown as { rawJSON(text: string): object }).rawJSON;
