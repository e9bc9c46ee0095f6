/** What is used of a request and its response, which HTTP/1.1 and HTTP/2 share. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import type { TLSSocket } from 'node:tls';

export interface HttpRequest extends Readable {
  readonly method: string;
  readonly url: string;
  readonly httpVersionMajor: number;
  /** All of it has arrived. */
  readonly complete: boolean;
  readonly headers: IncomingHttpHeaders;
  /** Name after value, repeated headers not joined. */
  readonly rawHeaders: readonly string[];
  readonly socket: TLSSocket;
}

export interface HttpResponse extends Writable {
  readonly headersSent: boolean;
  statusCode: number;
  setHeader(name: string, value: string | readonly string[]): unknown;
  flushHeaders(): void;
}
