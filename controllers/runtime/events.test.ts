import { describe, expect, it } from 'vitest';
import { Event } from '#lib/api/core.ts';
import type { KubeObject } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { memoryClient } from '#lib/client/memory-client.ts';
import { ApiError } from '#lib/std/errors.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { eventRecorder } from './events.ts';

function about(name: string): KubeObject {
  return {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: '' },
  };
}

function recording(wrap: (client: Client) => Client = (client) => client) {
  const clock = new VirtualClock();
  const api = memoryClient({ clock, random: seededRandom(1) });
  const stop = new AbortController();
  const who = { component: 'test', instance: 'test-1' };
  const recorder = eventRecorder({ client: wrap(api), clock, random: seededRandom(1), log: silentLog, ...who });
  const running = recorder.run(stop.signal);
  return {
    clock,
    recorder,
    written: async () => (await api.list(Event)).items,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('enough'));
      await running;
    },
  };
}

describe('eventRecorder()', () => {
  it('writes one Event for the same thing said again, and counts', async () => {
    await using r = recording();
    for (let time = 0; time < 3; time++) {
      r.recorder.warning(about('web-0'), 'NoHost', 'No host fits');
      await r.clock.advance(60_000);
    }
    expect(await r.written()).toEqual([
      expect.objectContaining({
        type: 'Warning',
        reason: 'NoHost',
        message: 'No host fits',
        count: 3,
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:02:00Z',
        involvedObject: expect.objectContaining({ kind: 'VirtualMachine', name: 'web-0', uid: 'uid-web-0' }),
        source: { component: 'test' },
      }),
    ]);
  });

  it('combines many messages of one reason, and cuts off an object that floods', async () => {
    await using r = recording();
    for (let number = 0; number < 40; number++) r.recorder.normal(about('web-0'), 'Moved', `To host ${number}`);
    r.recorder.normal(about('web-1'), 'Moved', 'To host 1');
    await r.clock.advance(1_000);
    const events = await r.written();
    const combined = events.filter(({ message }) => message?.startsWith('(combined'));
    expect(combined).toHaveLength(1);
    expect(combined[0]?.count).toBe(15);
    expect(events).toHaveLength(10 + 1 + 1);
    expect(r.recorder.dropped).toBe(15);
    await r.clock.advance(300_000);
    r.recorder.normal(about('web-0'), 'Other', 'Later');
    await r.clock.advance(1_000);
    expect((await r.written()).some(({ reason }) => reason === 'Other')).toBe(true);
  });

  it('tries again when the server is away, makes no second one when an answer was lost, and never throws', async () => {
    let calls = 0;
    await using r = recording((client) => ({
      ...client,
      create: async (kind, object, options) => {
        calls += 1;
        if (calls === 1) throw new ApiError('ServiceUnavailable', 'away');
        const made = await client.create(kind, object, options);
        if (calls === 2) throw new ApiError('Timeout', 'answer lost');
        return made;
      },
    }));
    r.recorder.normal(about('web-0'), 'Started', 'Started');
    await r.clock.advance(30_000);
    expect(calls).toBe(3);
    expect(await r.written()).toHaveLength(1);
    expect(r.recorder.dropped).toBe(0);
    r.recorder.normal({ ...about('x'), metadata: { ...about('x').metadata, namespace: 'nowhere' } }, 'Started', 'x');
    await r.clock.advance(30_000);
    expect(r.recorder.dropped).toBe(1);
  });
});
