import { badRequest } from '#apiserver/http/status.ts';

/** Stores count in signed 64 bits. */
const maxRevision = 2n ** 63n - 1n;

/** A resourceVersion from a query; undefined if there is none. BadRequest in Kubernetes' words for text that is none. */
export function parseRevision(text: string | null): bigint | undefined {
  if (text === null || text === '') return undefined;
  if (!/^\d{1,19}$/.test(text))
    throw badRequest(
      `invalid resource version: resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  const rev = BigInt(text);
  if (rev > maxRevision)
    throw badRequest(
      `invalid resource version: resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": value out of range`,
    );
  return rev;
}
