import { attributesOf } from '#apiserver/auth/attributes.ts';
import type { Call } from '#apiserver/http/call.ts';
import { negotiate } from '#apiserver/http/negotiate.ts';
import { sendText } from '#apiserver/http/respond.ts';
import { statusOf } from '#apiserver/http/status.ts';
import { streamWatch } from '#apiserver/http/stream-watch.ts';
import { watchEncoder } from '#apiserver/present/watch-encoder.ts';
import { watch } from '#apiserver/verbs/watch.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Exchange } from './exchange.ts';

export async function serveWatch(exchange: Exchange, call: Call): Promise<void> {
  const { server, response, signal, caller, info } = exchange;
  const accepted = negotiate({ ...call.headers, query: call.query });
  if (!call.resource.verbs.includes('watch'))
    throw new ApiError('MethodNotAllowed', `watch is not supported on resources of kind "${call.resource.plural}"`);
  const { access, context, metrics, leaving } = server;
  const encode = watchEncoder(accepted, call, context.clock);
  const { group, version, plural } = call.resource;
  try {
    using _ = metrics.longRunning.enter(['WATCH', plural]);
    const watching = await watch(context, call);
    exchange.begun();
    const sent = (count: number) => metrics.watchEvents.add([group, version, plural], count);
    using turn = leaving.join();
    using held = access.hold(caller, attributesOf(info));
    const leave = AbortSignal.any([turn.signal, held.signal]);
    await streamWatch(response, watching, encode, { clock: context.clock, gone: signal, leave, sent });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'Expired') throw error;
    // A revision that is gone is told inside the stream: clients look for it there, under status 200.
    sendText(response, 200, `${JSON.stringify({ type: 'ERROR', object: statusOf(error) })}\n`, 'application/json');
  }
}
