/**
 * Long lists are sent piece by piece. Their whole text never exists, and other requests get their turn between two pieces: what a list
 * costs in memory is the references to its objects, which the cache holds anyway.
 */
import type { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { gzipBytes, gzipInto } from './compress.ts';
import { drained, type Waiting } from './drained.ts';
import type { HttpResponse } from './transport.ts';

/** Shorter ones are sent at once, with their length. */
const fewItems = 100;
/** About a third of a millisecond of work. */
const pieceLength = 64 * 1024;

/** Whether `body` has so many items or rows that it should be sent by sendList. */
export function isLong(body: JsonObject): boolean {
  const list = body.items ?? body.rows;
  return Array.isArray(list) && list.length > fewItems;
}

/** Resolves when the last piece has been handed over. Rejects when `over` aborts in the middle: the answer is then to be cut off. */
export async function sendList(
  response: HttpResponse,
  status: number,
  body: JsonObject,
  waiting: Waiting & { readonly gzip: boolean },
): Promise<void> {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  const rest = pieces(body);
  const first = waiting.gzip ? beginning(rest) : '';
  const sink: Writable = first.length > gzipBytes ? gzipInto(response) : response;
  if (first !== '') sink.write(first);
  for (const piece of rest) {
    waiting.over.throwIfAborted();
    if (sink.write(piece)) await setImmediate();
    else await drained(sink, waiting);
  }
  sink.end();
}

/** As much as shows whether the list is large enough to be compressed. */
function beginning(pieces: Iterator<string>): string {
  let text = '';
  while (text.length <= gzipBytes) {
    const { value, done } = pieces.next();
    if (done) break;
    text += value;
  }
  return text;
}

function* pieces(body: JsonObject): Generator<string> {
  const name = Array.isArray(body.rows) ? 'rows' : 'items';
  const { [name]: list, ...head } = body;
  let text = `${JSON.stringify(head).slice(0, -1)},"${name}":[`;
  let comma = '';
  for (const item of list as Json[]) {
    text += `${comma}${JSON.stringify(item)}`;
    comma = ',';
    if (text.length < pieceLength) continue;
    yield text;
    text = '';
  }
  yield `${text}]}\n`;
}
