/** WebSockets of the API server, with the credentials of the kubeconfig. */
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { Session } from './session.ts';

const openMs = 15_000;

/** Not open yet: its events say what becomes of it. */
export async function openWebSocket({ endpoint }: Session, path: string): Promise<WebSocket> {
  const authorization = await endpoint.authorization?.();
  return new WebSocket(`${endpoint.server.replace(/^http/, 'ws').replace(/\/$/, '')}${path}`, {
    ...(authorization && { headers: { authorization } }),
    ...(endpoint.ca && { ca: endpoint.ca }),
    ...(endpoint.cert && { cert: endpoint.cert }),
    ...(endpoint.key && { key: endpoint.key }),
    rejectUnauthorized: !endpoint.skipTlsVerify,
    handshakeTimeout: openMs,
  });
}

/** Why the server did not open it: its Status says so in words; anything else is shown as it came. */
export async function refusalOf(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response) text += chunk;
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return `the server answered ${response.statusCode}: ${text.slice(0, 200)}`;
  }
}
