/** The file of an Image, on its way to a host: GET tells how far it is, PUT sends a piece of it. Nothing of it is kept here. */
import type { IncomingMessage } from 'node:http';
import { attributesOf } from '#apiserver/auth/attributes.ts';
import { askHost, sendToHost } from '#apiserver/console/host-connection.ts';
import { type ImagePath, isOfUpload, readAnnounced, uploadTarget } from '#apiserver/console/upload.ts';
import type { Call } from '#apiserver/http/call.ts';
import { passBody } from '#apiserver/http/pass-body.ts';
import { sendText } from '#apiserver/http/respond.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Exchange } from './exchange.ts';

const maxAnswerBytes = 65_536;

export function isUpload({ path }: Call, verb: string): boolean {
  return isOfUpload(path) && (verb === 'get' || verb === 'update');
}

export async function serveUpload(exchange: Exchange, call: Call, verb: string): Promise<void> {
  const { server, response, caller, info, signal } = exchange;
  const cluster = call.query.get('cluster');
  const announced = verb === 'update' ? readAnnounced(call.query) : undefined;
  const { host, maxVirtualSize } = await uploadTarget(server, call.path as ImagePath, cluster);
  using held = server.access.hold(caller, attributesOf(info));
  const over = AbortSignal.any([signal, held.signal, server.over]);
  if (!announced) {
    const answer = await askHost(host, { method: 'GET', signal: over });
    sendText(response, 200, await textOf(answer), 'application/json');
    return;
  }
  using _ = server.metrics.longRunning.enter(['PUT', call.resource.plural]);
  exchange.begun();
  const { offset, size, sha256 } = announced;
  const query = new URLSearchParams({
    offset: `${offset}`,
    size: `${size}`,
    sha256,
    maxVirtualSize: `${maxVirtualSize}`,
  });
  const length = size - offset;
  const { clock } = server.context;
  const answer = await sendToHost(host, { query, length, signal: over }, (to, answered) =>
    passBody(exchange.request, to, { length, clock, over: AbortSignal.any([over, answered]) }),
  );
  sendText(response, 200, await textOf(answer), 'application/json');
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer) {
    text += chunk;
    if (text.length > maxAnswerBytes) throw new ApiError('ServiceUnavailable', 'The host answers too much');
  }
  return text;
}
