import { expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import { idle, VirtualClock } from '#test/virtual-clock.ts';
import { FairQueue, type FairQueueOptions } from './fair-queue.ts';

const never = new AbortController().signal;

function queueWith(options: Partial<FairQueueOptions> = {}) {
  const clock = new VirtualClock();
  const rate = { perSecond: 1e6, burst: 1e6 };
  const limits = { seats: 4, seatsPerFlow: 2, queuedPerFlow: 50, queued: 200, waitMs: 1_000 };
  const queue = new FairQueue({ ...limits, rate, clock, ...options });
  const served: string[] = [];
  /** Enters, and when it has a seat says so and keeps it. */
  const enter = (name: string, signal = never) => {
    const seat = queue.enter(name, signal).then((given) => {
      served.push(name);
      return given;
    });
    // Looked at by those who expect it to fail.
    seat.catch(() => undefined);
    return seat;
  };
  return { clock, queue, served, enter };
}

test('one flow never has more than its part of the seats', async () => {
  const { enter, served } = queueWith();
  const seats = [1, 2, 3].map(() => enter('a'));
  await idle();
  expect(served).toEqual(['a', 'a']);
  (await seats[0]!)[Symbol.dispose]();
  await idle();
  expect(served).toHaveLength(3);
});

test('a flow that sends a hundred times as much makes another wait for one request at most', async () => {
  const { enter, served } = queueWith({ seats: 1, seatsPerFlow: 1, queuedPerFlow: 1_000, queued: 1_000 });
  const work = async (name: string) => {
    using _ = await enter(name);
    await idle();
  };
  const all = [...Array<string>(500).fill('flood'), ...Array<string>(5).fill('quiet')].map(work);
  await Promise.all(all.slice(500));
  expect(served).toHaveLength(11);
  await Promise.all(all);
});

test('who finds the queue full is told when to come again, and the others stay', async () => {
  const { enter, served } = queueWith({ queuedPerFlow: 3 });
  const seats = Array.from({ length: 6 }, () => enter('a'));
  await expect(seats[5]).rejects.toMatchObject({
    code: 'TooManyRequests',
    rejection: 'queue-full',
    details: { retryAfterSeconds: 1 },
  });
  await enter('b');
  expect(served).toEqual(['a', 'a', 'b']);
});

test('nobody waits longer than the deadline', async () => {
  const { clock, enter } = queueWith();
  const seats = Array.from({ length: 3 }, () => enter('a'));
  await clock.advance(1_000);
  await expect(seats[2]).rejects.toMatchObject({ rejection: 'time-out' });
});

test('a client that goes away leaves the queue', async () => {
  const { enter, served } = queueWith();
  const [first] = [enter('a'), enter('a')];
  const gone = new AbortController();
  const leaving = enter('a', gone.signal);
  const last = enter('a');
  gone.abort(new Error('gone'));
  await expect(leaving).rejects.toThrow('gone');
  (await first)[Symbol.dispose]();
  await last;
  expect(served).toHaveLength(3);
});

test('a flow above its rate is slowed down to it, and others are not', async () => {
  const { clock, enter, served } = queueWith({ rate: { perSecond: 10, burst: 2 }, waitMs: 60_000 });
  const work = async (name: string) => (await enter(name))[Symbol.dispose]();
  const all = Promise.all(Array.from({ length: 12 }, () => work('a')));
  await idle();
  expect(served).toHaveLength(2);
  await work('b');
  expect(served).toHaveLength(3);
  await clock.advance(500);
  expect(served.filter((name) => name === 'a')).toHaveLength(7);
  await clock.advance(500);
  await all;
});

test('whatever comes and goes, no seat is given twice or lost', async () => {
  const step = fc.oneof(
    fc.record({ enter: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ leave: fc.nat(20) }),
    fc.record({ abort: fc.nat(20) }),
    fc.record({ pass: fc.nat(600) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      let [seatedNow, waitingNow] = [0, 0];
      const changed = (seated: number, waiting: number) => ([seatedNow, waitingNow] = [seated, waiting]);
      const { clock, queue } = queueWith({ queuedPerFlow: 5, changed, rate: { perSecond: 20, burst: 3 } });
      const seats: Disposable[] = [];
      const clients: AbortController[] = [];
      for (const action of steps) {
        if ('enter' in action) {
          const client = new AbortController();
          clients.push(client);
          queue.enter(action.enter, client.signal).then(
            (seat) => seats.push(seat),
            () => undefined,
          );
        } else if ('leave' in action) seats.splice(action.leave, 1)[0]?.[Symbol.dispose]();
        else if ('abort' in action) clients[action.abort]?.abort(new Error('gone'));
        else await clock.advance(action.pass);
        await Promise.resolve();
        expect(seatedNow).toBeLessThanOrEqual(4);
      }
      for (let round = 0; round < 40; round++) {
        for (const seat of seats.splice(0)) seat[Symbol.dispose]();
        await clock.advance(100);
      }
      expect([seatedNow, waitingNow]).toEqual([0, 0]);
    }),
    { numRuns: 30 },
  );
});
