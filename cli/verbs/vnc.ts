import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createWebSocketStream, type WebSocket } from 'ws';
import { machineNamed, servicePath } from '../machine.ts';
import type { Output } from '../output.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, readCount, type Verb } from '../verb.ts';
import { openWebSocket, refusalOf } from '../web-socket.ts';

export const vnc: Verb = {
  name: 'vnc',
  summary: "Offer a machine's screen and keyboard to a VNC viewer on this computer",
  help: `Usage: factoryctl vnc NAME [flags]

Examples:
  factoryctl vnc real-0 -n studio-a
  factoryctl vnc real-0 -n studio-a --port 5901 --read-only

Flags:
      --port PORT        Port of 127.0.0.1 that the viewer connects to; a free one if left out
      --read-only        See the screen and move nothing
${connectionHelp}

Goes on until Control-C. Everybody on this computer can connect while it does. Of several viewers of one machine the last to come has keyboard and
pointer; the others look on until it leaves.`,
  async run(args, out) {
    const options = { ...connectionFlags, port: { type: 'string' }, 'read-only': { type: 'boolean' } } as const;
    const { values, positionals } = parseFlags('vnc', args, options);
    const name = machineNamed(positionals, 'vnc');
    const port = values.port === undefined ? 0 : readCount('port', values.port);
    const session = connect(values);
    const path = `${servicePath(session, name, 'vnc')}${values['read-only'] ? '?readOnly=true' : ''}`;
    // Whether there is a screen is told now, not to the first viewer.
    const first = await openWebSocket(session, path);
    const refusal = await refusalTo(first);
    if (refusal !== undefined) {
      out.error(`Cannot open the screen of ${name}: ${refusal}`);
      return exit.failed;
    }
    first.close();
    const server = createServer(
      (viewer) => void openWebSocket(session, path).then((screen) => join(viewer, screen, out)),
    );
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    } catch (error) {
      out.error(`Cannot listen on port ${port}: ${(error as Error).message}`);
      return exit.failed;
    }
    const { port: actual } = server.address() as AddressInfo;
    out.line(`Connect a VNC viewer to 127.0.0.1:${actual}; Control-C ends it`);
    await once(server, 'close');
    return exit.ok;
  },
};

/** undefined if it opens, and the host does not close it at once. */
async function refusalTo(screen: WebSocket): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  screen.on('unexpected-response', (_request, response) => void refusalOf(response).then(resolve));
  screen.on('error', (error) => resolve(error.message));
  screen.on('close', (_code, reason) => resolve(reason.toString() || 'it was closed at once'));
  // RFB begins with a word of the server.
  screen.on('message', () => resolve(undefined));
  return await promise;
}

function join(viewer: Socket, screen: WebSocket, out: Output): void {
  const far = createWebSocketStream(screen);
  viewer.on('error', () => far.destroy());
  far.on('error', (error) => {
    out.error(`The screen was cut: ${error.message}`);
    viewer.destroy();
  });
  viewer.pipe(far).pipe(viewer);
}
