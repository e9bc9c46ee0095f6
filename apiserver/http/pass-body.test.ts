import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { passBody } from './pass-body.ts';
import type { HttpRequest } from './transport.ts';

function openWorld(length: number, takes = true) {
  const clock = new VirtualClock();
  const from = new PassThrough();
  const over = new AbortController();
  let taken = 0;
  const to = new Writable({
    highWaterMark: 1000,
    write(chunk: Buffer, _encoding, done) {
      taken += chunk.length;
      if (takes) done();
    },
  });
  const passing = passBody(from as unknown as HttpRequest, to, { length, clock, over: over.signal }).then(
    () => 'passed',
    (error: Error) => error.message,
  );
  return { clock, from, over, passing, taken: () => taken };
}

test('passBody() ends when all has come', async () => {
  const { from, passing, taken } = openWorld(10);
  from.write('01234');
  from.end('56789');
  expect([await passing, taken()]).toEqual(['passed', 10]);
});

test('a body that ends early, or has more, is none', async () => {
  const short = openWorld(10);
  short.from.end('01234');
  expect(await short.passing).toBe('Cannot pass on the body: 5 of 10 bytes came');
  const long = openWorld(3);
  long.from.end('01234');
  expect(await long.passing).toBe('Cannot pass on the body: more than the 3 bytes came that were announced');
  const cut = openWorld(10);
  cut.from.destroy();
  expect(await cut.passing).toBe('Cannot pass on the body: the body broke off after 0 of 10 bytes');
});

test('who is silent for a minute is not waited for: the client', async () => {
  const { clock, from, passing, taken } = openWorld(10);
  for (let round = 1; round <= 3; round++) {
    from.write('0');
    await clock.advance(50_000);
    expect(taken()).toBe(round);
  }
  await clock.advance(10_000);
  expect(await passing).toBe('Nothing comes any more');
});

test('who is silent for a minute is not waited for: the host', async () => {
  const { clock, from, passing } = openWorld(10_000, false);
  from.write(Buffer.alloc(2_000));
  await clock.advance(60_000);
  expect([await passing, from.isPaused()]).toEqual(['The host takes nothing any more', true]);
});

test('it ends with its signal, and leaves the request open', async () => {
  const { from, over, passing } = openWorld(10);
  over.abort(new Error('The server is stopping'));
  expect([await passing, from.destroyed]).toEqual(['The server is stopping', false]);
});
