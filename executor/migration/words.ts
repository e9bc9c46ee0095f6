import type { IncomingMessage } from 'node:http';
import { wordsMax } from './peers.ts';

/** A whole body as text. Throws, and ends the connection, if it has more than `wordsMax` bytes. */
export async function readWords(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > wordsMax) throw new Error(`The other host says more than ${wordsMax} bytes at once`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
