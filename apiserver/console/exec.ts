import type { Call } from '#apiserver/http/call.ts';
import { mediaType } from '#apiserver/http/negotiate.ts';
import { badRequest } from '#apiserver/http/status.ts';
import { readExecRequest } from '#lib/api/exec.ts';
import { ApiError, messageOf } from '#lib/std/errors.ts';

/** What the host is sent: what the client has sent, looked at, and nothing beside. */
export async function execBody(call: Call): Promise<Buffer> {
  const type = mediaType(call.headers.contentType);
  if (type !== '' && type !== 'application/json')
    throw new ApiError('UnsupportedMediaType', `a command is sent as application/json, not as ${type}`);
  const body = await call.body();
  try {
    return Buffer.from(JSON.stringify(readExecRequest(JSON.parse(body.toString('utf8')))));
  } catch (error) {
    throw badRequest(`Cannot run the command: ${messageOf(error)}`, error);
  }
}
