/**
 * Long lists are sent piece by piece. Their whole text never exists, and other requests get their turn between two pieces: what a list
 * costs in memory is the references to its objects, which the cache holds anyway.
 */
import { setImmediate } from 'node:timers/promises';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
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
  waiting: Waiting,
): Promise<void> {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  for (const piece of pieces(body)) {
    waiting.over.throwIfAborted();
    if (response.write(piece)) await setImmediate();
    else await drained(response, waiting);
  }
  response.end();
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
