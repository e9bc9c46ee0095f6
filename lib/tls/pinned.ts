import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';

const connectMs = 10_000;

/**
 * A connection to an executor's endpoint, which is known by the SHA-256 (hex) of its certificate. That is looked at before this resolves, so nobody
 * else sees what is sent.
 */
export async function connectPinned(to: {
  readonly url: string;
  readonly certificateSha256: string;
}): Promise<TLSSocket> {
  const { hostname, port } = new URL(to.url);
  // Signed by nobody: the fingerprint, checked below, is what tells who it is.
  const socket = connect({ host: hostname, port: Number(port || 443), rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(connectMs) });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const actual = socket.getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase();
  if (actual === to.certificateSha256) return socket;
  socket.destroy();
  throw new Error('its certificate is not the one that it has announced');
}
