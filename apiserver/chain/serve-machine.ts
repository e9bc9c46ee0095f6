/** What of the inside of a machine is answered over plain HTTP: its host is asked, and what that answers passed on as it comes. */
import { attributesOf } from '#apiserver/auth/attributes.ts';
import { askHost } from '#apiserver/console/host-connection.ts';
import { logQuery } from '#apiserver/console/log.ts';
import { isOfMachine, type MachinePath } from '#apiserver/console/path.ts';
import { hostTarget } from '#apiserver/console/target.ts';
import type { Call } from '#apiserver/http/call.ts';
import { drained } from '#apiserver/http/drained.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Exchange } from './exchange.ts';

interface Passed {
  readonly service: 'log' | 'screenshot';
  /** Media type of the answer. */
  readonly type: string;
  /** What the host is told of the client's query. */
  readonly query: (asked: URLSearchParams) => URLSearchParams;
}

const passed: readonly Passed[] = [
  { service: 'log', type: 'text/plain; charset=utf-8', query: logQuery },
  { service: 'screenshot', type: 'image/png', query: () => new URLSearchParams() },
];

/** undefined for a request that is answered here, and not by a host. */
export function passedOf({ path }: Call, verb: string): Passed | undefined {
  if (verb !== 'get' || !isOfMachine(path)) return undefined;
  return passed.find(({ service }) => service === path.subresource);
}

export async function serveMachine(exchange: Exchange, call: Call, { service, type, query }: Passed): Promise<void> {
  const { server, response, caller, info, signal } = exchange;
  const { context, metrics, access, log } = server;
  const asked = query(call.query);
  const target = await hostTarget(server, call.path as MachinePath, service);
  using held = access.hold(caller, attributesOf(info));
  const over = AbortSignal.any([signal, held.signal, server.over]);
  const answer = await askHost(target, { method: 'GET', query: asked, signal: over });
  using _ = metrics.longRunning.enter(['GET', call.resource.plural]);
  exchange.begun();
  response.statusCode = 200;
  response.setHeader('content-type', type);
  if (call.method === 'HEAD') {
    answer.destroy();
    response.end();
    return;
  }
  response.flushHeaders();
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (!response.write(chunk)) await drained(response, { clock: context.clock, over });
      if (response.destroyed) return;
    }
    response.end();
  } catch (error) {
    log.debug('An answer of a host was cut', { service, reason: messageOf(error) });
    // Ended here it is whole as far as it went; cut off by the host it must not look so.
    if (over.aborted) response.end();
    else response.destroy();
  }
}
