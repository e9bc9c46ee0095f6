import { describe, expect, it } from 'vitest';
import { Lease } from '#lib/api/core.ts';
import type { Client } from '#lib/client/client.ts';
import { memoryClient } from '#lib/client/memory-client.ts';
import { ApiError } from '#lib/std/errors.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { LeadershipLost, lead } from './leader.ts';

const at = { name: 'test', namespace: 'cf-system' };

/** Candidates for one lease; `leading` are those whose work runs. */
function election() {
  const clock = new VirtualClock();
  const api = memoryClient({ clock, random: seededRandom(1) });
  const leading: string[] = [];
  const candidate = (identity: string, client: Client = api) => {
    const stop = new AbortController();
    const options = { client, clock, random: seededRandom(identity.length), log: silentLog, ...at, identity };
    const ended = lead(options, stop.signal, async (signal) => {
      leading.push(identity);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      leading.splice(leading.indexOf(identity), 1);
    });
    // Looked at by those tests that expect it to fail.
    ended.catch(() => undefined);
    return { ended, stop: () => stop.abort(new Error('stopped')) };
  };
  return { api, clock, leading, candidate };
}

/** A client that can be cut off. */
function cuttable(client: Client) {
  let cut = false;
  const through = <T>(call: () => Promise<T>): Promise<T> =>
    cut ? Promise.reject(new ApiError('ServiceUnavailable', 'cut off')) : call();
  const wrapped: Client = {
    ...client,
    get: (kind, name, options) => through(() => client.get(kind, name, options)),
    update: (kind, object, options) => through(() => client.update(kind, object, options)),
    create: (kind, object, options) => through(() => client.create(kind, object, options)),
  };
  return {
    client: wrapped,
    cut: () => {
      cut = true;
    },
  };
}

describe('lead()', () => {
  it('who could not renew knows at once that others may lead, also before it is told', async () => {
    const { api, clock } = election();
    const own = cuttable(api);
    const options = { client: own.client, clock, random: seededRandom(1), log: silentLog, ...at, identity: 'a' };
    const said: boolean[] = [];
    const ended = lead(options, new AbortController().signal, async (signal, isLeading) => {
      while (!signal.aborted) {
        said.push(isLeading());
        await clock.sleep(1000);
      }
      said.push(isLeading());
    });
    ended.catch(() => undefined);
    await clock.advance(60_000);
    expect(said).not.toContain(false);
    own.cut();
    await clock.advance(20_000);
    expect(said.at(-1)).toBe(false);
  });

  it('one leads and renews; the others wait; a lease given back is taken within a retry', async () => {
    const { api, clock, leading, candidate } = election();
    const first = candidate('a');
    await clock.advance(0);
    const second = candidate('bb');
    await clock.advance(120_000);
    expect(leading).toEqual(['a']);
    const held = (await api.get(Lease, at)).spec;
    expect(held).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(clock.now() - Date.parse(held!.renewTime!)).toBeLessThanOrEqual(2_000);
    first.stop();
    await first.ended;
    expect((await api.get(Lease, at)).spec?.holderIdentity).toBe('');
    await clock.advance(3_000);
    expect(leading).toEqual(['bb']);
    expect((await api.get(Lease, at)).spec).toMatchObject({ holderIdentity: 'bb', leaseTransitions: 1 });
    second.stop();
    await second.ended;
  });

  it('renewing is one write and no read, until somebody else has written', async () => {
    const { api, clock, candidate } = election();
    const calls: string[] = [];
    const get: Client['get'] = (kind, name, options) => {
      calls.push('get');
      return api.get(kind, name, options);
    };
    const update: Client['update'] = (kind, object, options) => {
      calls.push('update');
      return api.update(kind, object, options);
    };
    const one = candidate('a', { ...api, get, update });
    await clock.advance(1_000);
    calls.length = 0;
    await clock.advance(4_000);
    expect(calls).toEqual(['update', 'update']);
    await api.patch(Lease, at, { metadata: { labels: { touched: 'yes' } } });
    await clock.advance(2_000);
    expect(calls.slice(2)).toEqual(['update', 'get', 'update']);
    one.stop();
    await one.ended;
  });

  it('a call that hangs is given up in time by the clock that was handed in', async () => {
    const { api, clock, candidate, leading } = election();
    let hangs = false;
    const update: Client['update'] = (kind, object, options) =>
      hangs
        ? new Promise((_, reject) => options!.signal!.addEventListener('abort', () => reject(options!.signal!.reason)))
        : api.update(kind, object, options);
    const one = candidate('a', { ...api, update });
    await clock.advance(1_000);
    hangs = true;
    await clock.advance(20_000);
    await expect(one.ended).rejects.toBeInstanceOf(LeadershipLost);
    expect(leading).toEqual([]);
  });

  it('who cannot renew stops within 10 s, before another takes over after 15 s; there are never two', async () => {
    const { api, clock, leading, candidate } = election();
    const line = cuttable(api);
    const first = candidate('a', line.client);
    await clock.advance(0);
    const second = candidate('bb');
    await clock.advance(20_000);
    line.cut();
    const history: string[] = [];
    for (let second = 0; second < 30; second++) {
      await clock.advance(1_000);
      history.push(leading.join('+'));
    }
    await expect(first.ended).rejects.toBeInstanceOf(LeadershipLost);
    expect(history.filter((who) => who === 'a').length).toBeLessThanOrEqual(13);
    expect(history).toContain('');
    expect(history.at(-1)).toBe('bb');
    expect(history).not.toContain('a+bb');
    second.stop();
    await second.ended;
  });

  it('who died without a word is succeeded after the lease has not changed for its duration', async () => {
    const { api, clock, leading, candidate } = election();
    // Times in the lease are hours ahead: clocks of other machines do not matter.
    const renewTime = '2026-01-01T05:00:00.000000Z';
    const spec = { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: at, spec };
    await api.create(Lease, lease);
    const one = candidate('a');
    await clock.advance(14_000);
    expect(leading).toEqual([]);
    await clock.advance(5_000);
    expect(leading).toEqual(['a']);
    one.stop();
    await one.ended;
  });

  it('ends when its lease was taken from it', async () => {
    const { api, clock, leading, candidate } = election();
    const one = candidate('a');
    await clock.advance(1_000);
    const lease = await api.get(Lease, at);
    await api.update(Lease, { ...lease, spec: { ...lease.spec, holderIdentity: 'usurper' } });
    await clock.advance(3_000);
    await expect(one.ended).rejects.toBeInstanceOf(LeadershipLost);
    expect(leading).toEqual([]);
  });

  it('who has lost does not wait for work that does not end', async () => {
    const { api, clock } = election();
    const line = cuttable(api);
    const options = { client: line.client, clock, random: seededRandom(1), log: silentLog, ...at, identity: 'a' };
    const forEver = new Promise<never>(() => undefined);
    const ended = lead(options, new AbortController().signal, () => forEver).catch((error: unknown) => error);
    await clock.advance(1_000);
    line.cut();
    await clock.advance(12_500);
    expect(await Promise.race([ended, 'still there'])).toBeInstanceOf(LeadershipLost);
  });
});
