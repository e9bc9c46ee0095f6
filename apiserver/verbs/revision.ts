import { badRequest } from '#apiserver/http/status.ts';

/** A resourceVersion from a query; undefined if there is none. BadRequest in Kubernetes' words for text that is none. */
export function parseRevision(text: string | null): bigint | undefined {
  if (text === null || text === '') return undefined;
  if (!/^\d{1,19}$/.test(text))
    throw badRequest(
      `invalid resource version: resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  return BigInt(text);
}
