import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { FrameworkError, SchedulerConnection, type SchedulerHandler } from './scheduler.ts';
import { answer, type ReceivedCall, startScriptedServer, stream } from './testing/scripted-server.ts';
import type { SchedulerEvent } from './types.ts';

const framework = { user: 'root', name: 'factory', id: { value: 'fw-1' }, roles: ['vm'] };
const subscribed = {
  type: 'SUBSCRIBED',
  subscribed: { framework_id: { value: 'fw-1' }, heartbeat_interval_seconds: 15 },
};

function connection(masters: readonly string[], clock = systemClock): SchedulerConnection {
  return new SchedulerConnection({ masters, framework, clock, random: seededRandom(1), log: silentLog });
}

/** Collects what a session says; `heard` resolves with the next event of a type. */
function recorder() {
  const events: SchedulerEvent[] = [];
  const disconnects: string[] = [];
  const bus = new EventTarget();
  const handler: SchedulerHandler = {
    onEvent(event) {
      events.push(event);
      bus.dispatchEvent(new Event(event.type));
    },
    onDisconnected(reason) {
      disconnects.push(reason);
      bus.dispatchEvent(new Event('disconnected'));
    },
  };
  const heard = (type: string) => once(bus, type, { signal: AbortSignal.timeout(5000) });
  return { events, disconnects, handler, heard };
}

/** Runs the connection for as long as the block lives. */
function running(connection: SchedulerConnection, handler: SchedulerHandler) {
  const abort = new AbortController();
  const done = connection.run(handler, abort.signal);
  return {
    done,
    async [Symbol.asyncDispose]() {
      abort.abort();
      await done.catch(() => undefined);
    },
  };
}

/** A master that subscribes everybody and accepts everything. */
function agreeable({ call, response }: ReceivedCall): void {
  if (call.type === 'SUBSCRIBE') stream(response, [subscribed, { type: 'HEARTBEAT' }]);
  else answer(response, 202);
}

describe('a session', () => {
  test('subscribes with the id in both places, then calls in order over one connection with the stream id', async () => {
    await using server = await startScriptedServer(agreeable);
    const { handler, heard } = recorder();
    const scheduler = connection([server.origin]);
    expect(await scheduler.call({ type: 'REVIVE' })).toBe(false);
    const ready = heard('HEARTBEAT');
    await using _ = running(scheduler, handler);
    await ready;
    const ids = Array.from({ length: 20 }, (_unused, index) => `task-${index}`);
    const results = await Promise.all(
      ids.map((id) => scheduler.call({ type: 'KILL', kill: { task_id: { value: id } } })),
    );
    expect(results).toEqual(ids.map(() => true));

    const [subscribe, ...calls] = server.calls;
    expect(subscribe!.call).toMatchObject({
      framework_id: { value: 'fw-1' },
      subscribe: { framework_info: { id: { value: 'fw-1' } } },
    });
    expect(subscribe!.headers['mesos-stream-id']).toBeUndefined();
    expect(calls.map(({ call }) => (call.kill as { task_id: { value: string } }).task_id.value)).toEqual(ids);
    expect(new Set(calls.map(({ connection }) => connection)).size).toBe(1);
    expect(calls[0]!.connection).not.toBe(subscribe!.connection);
    expect(calls.every(({ headers }) => headers['mesos-stream-id'] === 'stream-1')).toBe(true);
  });

  test('follows a redirect without scheme to the leader', async () => {
    await using leader = await startScriptedServer(agreeable);
    await using follower = await startScriptedServer(({ response }) =>
      answer(response, 307, '', { location: `${leader.origin.slice('http:'.length)}/master/api/v1/scheduler` }),
    );
    const { handler, heard } = recorder();
    const ready = heard('SUBSCRIBED');
    const scheduler = connection([follower.origin]);
    await using _ = running(scheduler, handler);
    await ready;
    expect(scheduler.master).toBe(leader.origin);
  });

  test('subscribes again after the stream ends, and says that the old session is over', async () => {
    await using server = await startScriptedServer((received) => {
      agreeable(received);
      if (server.calls.length === 1) received.response.end();
    });
    const { handler, disconnects } = recorder();
    await using _ = running(connection([server.origin]), handler);
    await server.received('SUBSCRIBE', 2);
    expect(disconnects).toEqual([expect.stringContaining('ended the stream')]);
  });

  test('a 403 for a call ends the session; the call reports false', async () => {
    await using server = await startScriptedServer((received) => {
      if (received.call.type === 'REVIVE') answer(received.response, 403, 'Framework is not subscribed');
      else agreeable(received);
    });
    const { handler, heard } = recorder();
    const scheduler = connection([server.origin]);
    const ready = heard('SUBSCRIBED');
    const gone = heard('disconnected');
    await using _ = running(scheduler, handler);
    await ready;
    expect(await scheduler.call({ type: 'REVIVE' })).toBe(false);
    await gone;
    await server.received('SUBSCRIBE', 2);
  });

  test('a 400 for a call is a mistake of the caller and leaves the session alone', async () => {
    await using server = await startScriptedServer((received) => {
      if (received.call.type === 'REVIVE') answer(received.response, 400, 'Failed to validate scheduler::Call');
      else agreeable(received);
    });
    const { handler, heard, disconnects } = recorder();
    const scheduler = connection([server.origin]);
    const ready = heard('SUBSCRIBED');
    await using _ = running(scheduler, handler);
    await ready;
    await expect(scheduler.call({ type: 'REVIVE' })).rejects.toThrow('Failed to validate');
    expect(await scheduler.call({ type: 'SUPPRESS' })).toBe(true);
    expect(disconnects).toEqual([]);
  });

  test('a master that falls silent for 5 heartbeats is given up', async () => {
    await using server = await startScriptedServer(({ response }) =>
      stream(response, [{ ...subscribed, subscribed: { ...subscribed.subscribed, heartbeat_interval_seconds: 0.01 } }]),
    );
    const { handler, heard, disconnects } = recorder();
    const gone = heard('disconnected');
    await using _ = running(connection([server.origin]), handler);
    await gone;
    expect(disconnects[0]).toContain('silent');
  });
});

describe('what ends a framework', () => {
  test.each([
    ['Framework failed over', 'FailedOver'],
    ['Framework has been removed', 'Removed'],
    ["Role 'x/../y' is invalid", 'Refused'],
  ])('ERROR "%s" is %s, and nobody subscribes again', async (message, kind) => {
    await using server = await startScriptedServer(({ response }) =>
      stream(response, [subscribed, { type: 'ERROR', error: { message } }]),
    );
    const { handler } = recorder();
    const abort = new AbortController();
    const error = await connection([server.origin])
      .run(handler, abort.signal)
      .catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(FrameworkError);
    expect((error as FrameworkError).kind).toBe(kind);
    expect(server.calls).toHaveLength(1);
  });

  test('credentials that are refused', async () => {
    await using server = await startScriptedServer(({ response }) => answer(response, 401, 'no'));
    const { handler } = recorder();
    const run = connection([server.origin]).run(handler, AbortSignal.timeout(5000));
    await expect(run).rejects.toMatchObject({ kind: 'Refused' });
  });

  test('an error of the handler', async () => {
    await using server = await startScriptedServer(agreeable);
    const handler = {
      onEvent: () => Promise.reject(new Error('the store is gone')),
      onDisconnected() {},
    };
    await expect(connection([server.origin]).run(handler, AbortSignal.timeout(5000))).rejects.toThrow(
      'the store is gone',
    );
  });
});
