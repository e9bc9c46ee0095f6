/** What of the inside of a machine is answered over plain HTTP: its host is asked, and what that answers passed on as it comes. */
import { attributesOf } from '#apiserver/auth/attributes.ts';
import { execBody } from '#apiserver/console/exec.ts';
import { askHost, type HostRequest } from '#apiserver/console/host-connection.ts';
import { logQuery } from '#apiserver/console/log.ts';
import { isOfMachine, type MachinePath } from '#apiserver/console/path.ts';
import { hostTarget } from '#apiserver/console/target.ts';
import type { Call } from '#apiserver/http/call.ts';
import { drained } from '#apiserver/http/drained.ts';
import type { MachineService } from '#lib/api/host-endpoint.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Exchange } from './exchange.ts';

interface Passed {
  readonly service: MachineService;
  readonly verb: 'get' | 'create';
  /** Media type of the answer. */
  readonly type: string;
  /** What the host is told of the client's request. */
  ask(call: Call): Promise<Omit<HostRequest, 'signal'>>;
}

const passed: readonly Passed[] = [
  {
    service: 'log',
    verb: 'get',
    type: 'text/plain; charset=utf-8',
    ask: async ({ query }) => ({ method: 'GET', query: logQuery(query) }),
  },
  { service: 'screenshot', verb: 'get', type: 'image/png', ask: async () => ({ method: 'GET' }) },
  {
    service: 'exec',
    verb: 'create',
    type: 'application/json',
    ask: async (call) => ({ method: 'POST', body: await execBody(call) }),
  },
];

/** undefined for a request that is answered here, and not by a host. */
export function passedOf({ path }: Call, verb: string): Passed | undefined {
  return isOfMachine(path) ? passed.find((each) => each.service === path.subresource && each.verb === verb) : undefined;
}

export async function serveMachine(exchange: Exchange, call: Call, { service, type, ask }: Passed): Promise<void> {
  const { server, response, caller, info, signal } = exchange;
  const { context, metrics, access, log } = server;
  const asked = await ask(call);
  const target = await hostTarget(server, call.path as MachinePath, service);
  using held = access.hold(caller, attributesOf(info));
  const over = AbortSignal.any([signal, held.signal, server.over]);
  const answer = await askHost(target, { ...asked, signal: over });
  using _ = info.longRunning ? metrics.longRunning.enter(['GET', call.resource.plural]) : undefined;
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
