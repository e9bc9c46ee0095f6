import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { ApiError } from '#lib/std/errors.ts';
import type { ConsoleTarget } from './target.ts';

const connectMs = 10_000;
/** A serial console sends little at a time. */
const maxFrameBytes = 1024 * 1024;

/**
 * A WebSocket to a host, opened. The host is known by the fingerprint of its certificate, which is looked at before the token is sent:
 * nobody else may see that. Rejects with ServiceUnavailable if the host does not answer, is another, or refuses.
 */
export async function connectToHost(target: ConsoleTarget): Promise<WebSocket> {
  try {
    const socket = await connectPinned(target);
    const webSocket = new WebSocket(target.url, {
      createConnection: () => socket,
      headers: { authorization: `Bearer ${target.token}` },
      handshakeTimeout: connectMs,
      maxPayload: maxFrameBytes,
      perMessageDeflate: false,
    });
    await once(webSocket, 'open');
    return webSocket;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ApiError('ServiceUnavailable', `Cannot open the console: the host does not give it: ${why}`, {
      cause: error,
    });
  }
}

async function connectPinned({ url, certificateSha256 }: ConsoleTarget): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  // Signed by nobody: the fingerprint, checked below, is what tells who it is.
  const socket = connect({ host: hostname, port: Number(port || 443), rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(connectMs) });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const actual = socket.getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase();
  if (actual === certificateSha256) return socket;
  socket.destroy();
  throw new Error('its certificate is not the one that it has announced');
}
