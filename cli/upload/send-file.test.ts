import { describe, expect, test } from 'vitest';
import type { UploadState } from '#lib/api/host-endpoint.ts';
import { ApiError, type ErrorCode } from '#lib/std/errors.ts';
import { seededRandom } from '#lib/std/random.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { bytesText, progressText, Rate } from './figures.ts';
import { type Sending, sendFile } from './send-file.ts';

const bytes = Buffer.from('0123456789');
const sha256 = 'a'.repeat(64);

type Answer = 'ok' | ErrorCode | { readonly cutAt: number };

/** A host at which pieces end as `answers` say, in turn; `ok` from then on. */
function openWorld(answers: readonly Answer[], begin: Partial<UploadState> = {}) {
  const clock = new VirtualClock();
  const waiting = { is: true };
  let state: UploadState = { received: 0, complete: false, busy: false, ...begin };
  const [left, puts, broke, told]: [Answer[], string[], string[], number[]] = [[...answers], [], [], []];
  async function* read(offset: number) {
    for (let at = offset; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
  }
  const sending: Sending = {
    file: { size: bytes.length, bytes: read },
    ...{ sha256, restart: false, clock, random: seededRandom(1) },
    state: async () => state,
    isWaiting: async () => waiting.is,
    told: (count) => void told.push(count),
    broke: ({ message }) => void broke.push(message),
    async put(offset, body) {
      const answer = left.shift() ?? 'ok';
      if (typeof answer === 'string' && answer !== 'ok') throw new ApiError(answer, `It said ${answer}`);
      let text = '';
      let at = offset;
      for await (const chunk of body) {
        text += chunk;
        at += chunk.length;
        state = { received: at, size: bytes.length, sha256, complete: at === bytes.length, busy: false };
        if (typeof answer === 'object' && at === answer.cutAt) throw new ApiError('ServiceUnavailable', 'Cut');
      }
      puts.push(`${offset}: ${text}`);
      return state;
    },
  };
  const run = async (more: Partial<Sending> = {}) => {
    const over = sendFile({ ...sending, ...more }).then(
      () => 'sent',
      (error) => error as ApiError,
    );
    const late = clock.advance(400_000);
    return await Promise.race([over, late.then(() => over)]);
  };
  return { run, put: sending.put.bind(sending), puts, broke, told, waiting };
}

describe('sendFile()', () => {
  test('sends all, and tells how far it is', async () => {
    const { run, puts, told } = openWorld([]);
    expect([await run(), puts, told.at(-1)]).toEqual(['sent', ['0: 0123456789'], 10]);
  });

  test('goes on where it was cut, as often as that gets on', async () => {
    const { run, puts, broke } = openWorld([{ cutAt: 3 }, 'Timeout', 'Conflict', { cutAt: 7 }]);
    expect([await run(), puts]).toEqual(['sent', ['7: 789']]);
    expect(broke).toEqual(['Cut', 'It said Timeout', 'It said Conflict', 'Cut']);
  });

  test('gives up when it gets nowhere, and says how far it came', async () => {
    const { run } = openWorld([{ cutAt: 4 }, ...Array(100).fill('ServiceUnavailable')]);
    expect(await run()).toMatchObject({
      ...{ code: 'ServiceUnavailable', message: expect.stringContaining('4 of 10 bytes are there') },
    });
  });

  test.each(['Forbidden', 'RequestEntityTooLarge', 'BadRequest'] as const)(
    'does not ask again after %s',
    async (code) => {
      const { run, broke } = openWorld([code]);
      expect([await run(), broke]).toEqual([expect.objectContaining({ code }), []]);
    },
  );

  test('is done when nobody waits for it any more, and when all is there', async () => {
    const moved = openWorld(['Conflict']);
    moved.waiting.is = false;
    expect(await moved.run()).toBe('sent');
    const there = openWorld([], { received: 10, size: 10, sha256, complete: true });
    expect([await there.run(), there.puts]).toEqual(['sent', []]);
  });

  test('leaves alone what somebody else sends', async () => {
    const { run, puts } = openWorld([], { received: 5, size: 10, sha256, busy: true });
    expect([await run(), puts]).toEqual([
      expect.objectContaining({ message: expect.stringContaining('Somebody else is uploading it: 5 of 10') }),
      [],
    ]);
  });

  test('does not mix two files; throws the other away if told to', async () => {
    const other = { received: 5, size: 10, sha256: 'b'.repeat(64) };
    expect(await openWorld([], other).run()).toMatchObject({
      ...{ code: 'Conflict', message: expect.stringContaining('--restart') },
    });
    const restarted = openWorld([], other);
    expect([await restarted.run({ restart: true }), restarted.puts]).toEqual(['sent', ['0: 0123456789']]);
  });

  test('a connection that ends the body with its own error is no file that cannot be read', async () => {
    const world = openWorld([]);
    let tries = 0;
    const put: Sending['put'] = async (offset, body, signal) => {
      tries += 1;
      if (tries > 1) return await world.put(offset, body, signal);
      // As undici does with what it sends when its connection is reset.
      const iterator = body[Symbol.asyncIterator]();
      await iterator.next();
      await iterator.throw!(new Error('read ECONNRESET')).catch(() => undefined);
      throw new ApiError('ServiceUnavailable', 'Reset');
    };
    expect(await world.run({ put })).toBe('sent');
    expect([tries, world.puts, world.broke]).toEqual([2, ['0: 0123456789'], ['Reset']]);
  });

  test('a file that cannot be read is no broken connection', async () => {
    const { run } = openWorld([]);
    // biome-ignore lint/correctness/useYield: it fails before.
    async function* unreadable(): AsyncGenerator<Buffer> {
      throw new Error('The disk is broken');
    }
    expect(await run({ file: { size: 10, bytes: unreadable } })).toMatchObject({ message: 'The disk is broken' });
  });
});

test('figures are read by people', () => {
  expect([0, 1023, 1536, 150 * 2 ** 20, 2 ** 40].map(bytesText)).toEqual([
    '0 B',
    '1023 B',
    '1.5 KiB',
    '150 MiB',
    '1.0 TiB',
  ]);
  expect(progressText(2 ** 29, 2 ** 30, 2 ** 20)).toBe('512 MiB of 1.0 GiB (50%), 1.0 MiB/s');
});

test('a rate is of the last seconds, and of no byte twice', () => {
  const rate = new Rate();
  expect(rate.at(0, 0)).toBe(0);
  for (let s = 1; s <= 10; s++) expect(rate.at(s * 1000, s * 100)).toBe(100);
  expect(rate.at(11_000, 500)).toBe(0);
  expect(rate.at(12_000, 700)).toBe(200);
});
