import { expect, test } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { CallRate } from './call-rate.ts';
import { CallQueue, type Connect } from './http.ts';

const never = new AbortController().signal;

test('a burst goes at once, then one call after the other as fast as is allowed, in order', async () => {
  const clock = new VirtualClock();
  const rate = new CallRate(clock, { perSecond: 10, burst: 3 });
  const gone: number[] = [];
  const startMs = clock.monotonic();
  const sending = (async () => {
    for (let call = 0; call < 6; call++) {
      await rate.take(never);
      gone.push(clock.monotonic() - startMs);
    }
  })();
  await clock.advance(1_000);
  await sending;
  expect(gone.map(Math.round)).toEqual([0, 0, 0, 100, 200, 300]);
});

test('a wait ends with the connection', async () => {
  const clock = new VirtualClock();
  const rate = new CallRate(clock, { perSecond: 1, burst: 1 });
  const closed = new AbortController();
  await rate.take(closed.signal);
  const waiting = rate.take(closed.signal);
  closed.abort(new Error('closed'));
  await expect(waiting).rejects.toThrow('closed');
});

test('acknowledgements are not counted: they are as many as the updates that they answer', async () => {
  const clock = new VirtualClock();
  const sent: string[] = [];
  async function* empty(): AsyncGenerator<Buffer> {}
  const connect: Connect = () => ({
    async request({ body }) {
      sent.push(JSON.parse(body).type);
      return { statusCode: 202, headers: {}, body: Object.assign(empty(), { destroy() {} }) };
    },
    async destroy() {},
  });
  const rate = new CallRate(clock, { perSecond: 1, burst: 1 });
  await using calls = new CallQueue({ origin: 'http://master', connect }, '/api/v1/scheduler', { rate });
  const acknowledged = Array.from({ length: 50 }, () => calls.send({ type: 'ACKNOWLEDGE' }));
  await Promise.all([...acknowledged, calls.send({ type: 'KILL' })]);
  expect(sent).toHaveLength(51);
  const next = calls.send({ type: 'KILL' });
  await clock.advance(999);
  expect(sent).toHaveLength(51);
  await clock.advance(1);
  await next;
  expect(sent).toHaveLength(52);
});
