/** Elections by a Lease of the API server: with our own client, with client-node's CoordinationV1Api, and with one against the other. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { LeadershipLost, type LeaseClient, lead } from '#controllers/runtime/leader.ts';
import { Lease } from '#lib/api/core.ts';
import { httpClient } from '#lib/client/http-client.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { kubeConfig } from './config.ts';
import { leaseClient } from './lease-client.ts';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

/** Fifteen seconds of a lease are over in five; a machine may stand still for three without anybody losing it. */
const speed = 3;
const clock: Clock = {
  now: systemClock.now,
  monotonic: () => systemClock.monotonic() * speed,
  timeout: (callback, delayMs) => systemClock.timeout(callback, delayMs / speed),
  sleep: (delayMs, signal) => systemClock.sleep(delayMs / speed, signal),
};

const clients = {
  'our client': () => {
    const authorization = async () => `Bearer ${started.token}`;
    return httpClient({ server: started.server.url, ca: started.authority.certificate, authorization });
  },
  'client-node': () => ({ ...leaseClient(kubeConfig(started)), [Symbol.asyncDispose]: async () => {} }),
};
type ClientName = keyof typeof clients;

/** A client whose machine falls off the network: what it asks comes to nobody. */
function cuttable(client: LeaseClient) {
  let cut = false;
  const through = <T>(call: () => Promise<T>): Promise<T> =>
    cut ? Promise.reject(new ApiError('ServiceUnavailable', 'cut off')) : call();
  const wrapped: LeaseClient = {
    get: (kind, at, options) => through(() => client.get(kind, at, options)),
    create: (kind, object, options) => through(() => client.create(kind, object, options)),
    update: (kind, object, options) => through(() => client.update(kind, object, options)),
  };
  const fall = () => {
    cut = true;
  };
  return { client: wrapped, fall };
}

const pairs: readonly (readonly [ClientName, ClientName])[] = [
  ['our client', 'our client'],
  ['client-node', 'client-node'],
  ['our client', 'client-node'],
];

describe.concurrent.each(pairs)('%s and %s', { timeout: 60_000 }, (...names) => {
  test('one leads; when it dies without a word the other follows in time, and never do both', async () => {
    const at = { name: names.join('-').replaceAll(' ', '-'), namespace: 'default' };
    await using stack = new AsyncDisposableStack();
    const leading = new Set<number>();
    /** Who has begun to lead, in this order, and when; and how many at once. */
    const history: { readonly who: number; readonly atMs: number; readonly together: number }[] = [];
    const candidates = names.map((name, who) => {
      const stop = new AbortController();
      const { client, fall } = cuttable(stack.use(clients[name]()));
      const options = { client, clock, random: systemRandom, log: silentLog, ...at, identity: `candidate-${who}` };
      const ended = lead(options, stop.signal, async (signal) => {
        leading.add(who);
        history.push({ who, atMs: clock.monotonic(), together: leading.size });
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
        leading.delete(who);
      });
      ended.catch(() => undefined); // Looked at below.
      return { ended, fall, stop: () => stop.abort(new Error('stopped')) };
    });
    stack.defer(async () => {
      for (const { stop } of candidates) stop();
      await Promise.allSettled(candidates.map(({ ended }) => ended));
    });
    await expect.poll(() => history.length, { timeout: 10_000 }).toBe(1);
    const first = history[0]!.who;
    const other = 1 - first;
    // Long enough that whoever does not renew loses it.
    await clock.sleep(20_000);
    expect(history.map(({ who }) => who)).toEqual([first]);
    const fellMs = clock.monotonic();
    candidates[first]!.fall();
    await expect.poll(() => history.length, { timeout: 20_000 }).toBe(2);
    await expect(candidates[first]!.ended).rejects.toBeInstanceOf(LeadershipLost);
    expect(history.map(({ who, together }) => [who, together])).toEqual([
      [first, 1],
      [other, 1],
    ]);
    const { spec } = await stack.use(clients['our client']()).get(Lease, at);
    expect(spec).toMatchObject({ holderIdentity: `candidate-${other}`, leaseTransitions: 1 });
    expect(spec!.acquireTime).toMatch(/\.\d{6}Z$/);
    console.log(
      `${names.join(' and ')}: taken over after ${Math.round(history[1]!.atMs - fellMs)} ms of the lease's time`,
    );
  });
});
