/** Discovery and OpenAPI, which clients keep on disk: a question whose answer has not changed costs them a 304. */
import { sendText } from '#apiserver/http/respond.ts';
import type { Exchange } from './exchange.ts';

/** False if there is no document at this path. */
export function serveDocument({ server, request, response, info }: Exchange): boolean {
  const document = server.documents(info.pathname.replace(/(?<=.)\/$/, ''), request.headers.accept);
  if (!document) return false;
  const etag = `"${document.hash}"`;
  response.setHeader('etag', etag);
  if (document.varyAccept) response.setHeader('vary', 'Accept');
  // Under a URL with its hash it will never be another one.
  if (info.query.get('hash') === document.hash)
    response.setHeader('cache-control', 'public, max-age=31536000, immutable');
  // With its type: caches of clients take the headers of a 304 over those of what they have.
  if (request.headers['if-none-match']?.includes(etag)) sendText(response, 304, '', document.contentType);
  else sendText(response, 200, document.content, document.contentType);
  return true;
}
