import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import type { Watching, WatchMessage } from '#apiserver/verbs/watch.ts';
import { idle, VirtualClock } from '#test/virtual-clock.ts';
import { streamWatch } from './stream-watch.ts';
import type { HttpResponse } from './transport.ts';

/** A client that takes what is sent when it is told to. */
class Client extends Writable {
  statusCode = 0;
  readonly headersSent = false;
  readonly taken: string[] = [];
  readonly #slow: boolean;
  #take: (() => void) | undefined;

  constructor(slow: boolean) {
    super({ highWaterMark: 1_024 });
    this.#slow = slow;
  }

  setHeader(): void {}
  flushHeaders(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.taken.push(chunk.toString());
    if (this.#slow) this.#take = done;
    else done();
  }

  take(): void {
    const take = this.#take;
    this.#take = undefined;
    take?.();
  }
}

const bookmark = (rev: bigint): WatchMessage => ({ type: 'BOOKMARK', rev, initialEventsEnd: false });

interface World {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly done: Promise<void>;
  readonly encoded: () => number;
  push(batch: readonly WatchMessage[]): void;
}

/** A watch of ten minutes that has reached revision 7. Messages are encoded as their revision and a newline. */
function world(slow: boolean): World {
  const clock = new VirtualClock();
  const client = new Client(slow);
  const queue: (readonly WatchMessage[])[] = [];
  let wake = () => {};
  let over = false;
  let encoded = 0;
  const messages = (async function* () {
    while (!over) {
      const batch = queue.shift();
      if (batch) yield batch;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  })();
  const watching: Watching = {
    messages,
    bookmark: () => (queue.length > 0 ? undefined : 7n),
    durationMs: 600_000,
    [Symbol.dispose]() {
      over = true;
      wake();
    },
  };
  const encode = (message: WatchMessage) => {
    encoded++;
    return `${(message as { rev: bigint }).rev}`.padEnd(999, '.').concat('\n');
  };
  const never = new AbortController().signal;
  const options = { clock, gone: never, leave: never, sent: () => undefined };
  const done = streamWatch(client as unknown as HttpResponse, watching, encode, options);
  const push = (batch: readonly WatchMessage[]) => {
    queue.push(batch);
    wake();
  };
  return { clock, client, done, encoded: () => encoded, push };
}

const revs = ({ taken }: Client) =>
  taken
    .join('')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.replaceAll('.', ''));

test('streamWatch() sends a bookmark every minute and one shortly before the end', async () => {
  const { clock, client, done } = world(false);
  await clock.advance(180_000);
  expect(revs(client)).toEqual(['7', '7', '7']);
  await clock.advance(417_999);
  expect(revs(client)).toHaveLength(9);
  await clock.advance(1);
  expect(revs(client)).toHaveLength(10);
  await clock.advance(2_000);
  await done;
  expect(client.writableEnded).toBe(true);
});

test('streamWatch() encodes no more than a portion ahead of a slow client, and lets no bookmark overtake the rest', async () => {
  const { clock, client, encoded, push } = world(true);
  push(Array.from({ length: 200 }, (_, i) => bookmark(BigInt(i))));
  await idle();
  expect(encoded()).toBeLessThan(70);
  await clock.advance(59_000);
  client.take();
  await clock.advance(2_000); // a minute is over: time for a bookmark
  for (let i = 0; i < 10; i++) {
    client.take();
    await idle();
  }
  expect(revs(client)).toEqual(Array.from({ length: 200 }, (_, i) => String(i)));
});

test('streamWatch() cuts a client that takes nothing for a minute', async () => {
  const { clock, client, done, push } = world(true);
  push(Array.from({ length: 200 }, (_, i) => bookmark(BigInt(i))));
  await clock.advance(61_000);
  expect(client.destroyed).toBe(true);
  push([]);
  await clock.advance(600_000);
  await done;
});
