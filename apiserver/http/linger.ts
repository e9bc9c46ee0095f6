import type { Clock } from '#lib/std/clock.ts';
import type { HttpRequest, HttpResponse } from './transport.ts';

const lingerMs = 1_000;

/**
 * Sends an answer before the client has sent all of its body, which nobody is going to read. Closing at once would reset the connection,
 * and the reset can overtake the answer; so what still comes is thrown away for a moment, and then the connection is closed.
 */
export function endEarly(request: HttpRequest, response: HttpResponse, text: string | Buffer, clock: Clock): void {
  if (request.httpVersionMajor === 1) response.setHeader('connection', 'close');
  response.setHeader('content-length', String(Buffer.byteLength(text)));
  response.write(text);
  const close = () => {
    timer[Symbol.dispose]();
    request.off('end', close).off('close', close);
    response.end();
    if (!request.complete) request.destroy();
  };
  const timer = clock.timeout(close, lingerMs);
  request.on('end', close).on('close', close).resume();
}
