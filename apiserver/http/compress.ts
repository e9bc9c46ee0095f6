/** Large answers are compressed for those who say that they read it. */
import { createGzip, type Gzip } from 'node:zlib';
import type { HttpResponse } from './transport.ts';

/** What Kubernetes begins to compress at (apiserver, defaultGzipThresholdBytes). */
export const gzipBytes = 128 * 1024;

export function readsGzip(acceptEncoding = ''): boolean {
  return acceptEncoding.split(',').some((part) => /^\s*gzip\s*(;(?!\s*q=0(\.0*)?\s*$)|$)/i.test(part));
}

/** What is written to the result goes to the client compressed. Set status and other headers before writing. */
export function gzipInto(response: HttpResponse): Gzip {
  response.setHeader('content-encoding', 'gzip');
  response.setHeader('vary', 'Accept-Encoding');
  const gzip = createGzip({ level: 1 });
  response.on('close', () => gzip.destroy());
  gzip.pipe(response);
  return gzip;
}
