import { request } from 'node:https';

/** The document at an https URL. Rejects for any status but 200, for one that is too large or no JSON, and after the deadline. */
export function fetchJson(
  url: string,
  options: { readonly ca: string | undefined; readonly deadlineMs: number },
): Promise<unknown> {
  const { ca, deadlineMs } = options;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const outgoing = request(url, {
    ...(ca === undefined ? {} : { ca }),
    signal: AbortSignal.timeout(deadlineMs),
    headers: { accept: 'application/json' },
  });
  outgoing.on('error', (error) => reject(new Error(`Cannot read ${url}`, { cause: error })));
  outgoing.on('response', (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('error', reject);
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) outgoing.destroy(new Error(`more than ${maxBytes} bytes`));
      chunks.push(chunk);
    });
    response.on('end', () => {
      try {
        if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
        resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      } catch (error) {
        reject(new Error(`Cannot read ${url}`, { cause: error }));
      }
    });
  });
  outgoing.end();
  return promise;
}

const maxBytes = 1024 * 1024;
