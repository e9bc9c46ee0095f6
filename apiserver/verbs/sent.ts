import { decodeBody, objectIn } from '#apiserver/http/body.ts';
import type { Call } from '#apiserver/http/call.ts';
import type { Sent } from './prepare.ts';

/** The object in the body of a create or update. BadRequest or UnsupportedMediaType if there is none. */
export async function readSent(call: Call, kind = call.resource.kind): Promise<Sent> {
  const { value, duplicates } = decodeBody(await call.body(), call.headers.contentType, kind);
  return { value: objectIn(value, kind), duplicates };
}
