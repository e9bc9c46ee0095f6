import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { ExecutorConnection, type ExecutorHandler, RecoveryTimeoutError } from './executor.ts';
import { type ExecutorEnvironment, readExecutorEnvironment } from './executor-environment.ts';
import { answer, type ReceivedCall, startScriptedServer, stream } from './testing/scripted-server.ts';
import type { ExecutorEvent, TaskStatus } from './types.ts';

const subscribed = {
  type: 'SUBSCRIBED',
  subscribed: { executor_info: { executor_id: { value: 'ex' } }, framework_info: {}, agent_info: { hostname: 'h1' } },
};

function environment(origin: string, recoveryTimeoutMs = 900_000): ExecutorEnvironment {
  const ids = { agentId: 'a1', frameworkId: 'fw', executorId: 'ex' };
  return { origin, ...ids, sandbox: '/sandbox', recoveryTimeoutMs, shutdownGraceMs: 5000, token: 'secret' };
}

function update(uuid: string): TaskStatus {
  return { task_id: { value: 't1' }, state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR', uuid };
}

function recorder(updates: () => readonly TaskStatus[] = () => []) {
  const events: ExecutorEvent[] = [];
  const bus = new EventTarget();
  const handler: ExecutorHandler = {
    unacknowledged: () => ({ tasks: [], updates: updates() }),
    onEvent(event) {
      events.push(event);
      bus.dispatchEvent(new Event(event.type));
    },
  };
  return { events, handler, heard: (type: string) => once(bus, type, { signal: AbortSignal.timeout(5000) }) };
}

function running(connection: ExecutorConnection, handler: ExecutorHandler) {
  const abort = new AbortController();
  const done = connection.run(handler, abort.signal);
  return {
    async [Symbol.asyncDispose]() {
      abort.abort();
      await done;
    },
  };
}

function agreeable({ call, response }: ReceivedCall): void {
  if (call.type === 'SUBSCRIBE') stream(response, [subscribed]);
  else answer(response, 202);
}

const options = { clock: systemClock, log: silentLog };

describe('a subscription', () => {
  test('says who it is, lists what is unacknowledged, and sends updates', async () => {
    await using server = await startScriptedServer(agreeable);
    const connection = new ExecutorConnection({ ...options, environment: environment(server.origin) });
    const { handler, heard } = recorder(() => [update('old')]);
    expect(await connection.update(update('early'))).toBe(false);
    const ready = heard('SUBSCRIBED');
    await using _ = running(connection, handler);
    await ready;
    expect(await connection.update(update('new'))).toBe(true);
    expect(await connection.message('bm90ZQ==')).toBe(true);
    expect(server.calls[0]!.headers.authorization).toBe('Bearer secret');
    expect(server.calls.map(({ call }) => call)).toEqual([
      expect.objectContaining({
        type: 'SUBSCRIBE',
        executor_id: { value: 'ex' },
        subscribe: { unacknowledged_tasks: [], unacknowledged_updates: [{ status: update('old') }] },
      }),
      expect.objectContaining({ type: 'UPDATE', update: { status: update('new') } }),
      expect.objectContaining({ type: 'MESSAGE', message: { data: 'bm90ZQ==' } }),
    ]);
  });

  test('an update that was made while SUBSCRIBE was under way is sent after it', async () => {
    const updates: TaskStatus[] = [];
    await using server = await startScriptedServer((received) => {
      if (received.call.type === 'SUBSCRIBE') updates.push(update('late'));
      agreeable(received);
    });
    const connection = new ExecutorConnection({ ...options, environment: environment(server.origin) });
    await using _ = running(connection, recorder(() => [...updates]).handler);
    expect((await server.received('UPDATE')).call).toMatchObject({ update: { status: { uuid: 'late' } } });
  });

  test('comes back after the agent closed the stream, and while it is still recovering', async () => {
    await using server = await startScriptedServer((received) => {
      if (server.calls.length === 2) return answer(received.response, 503, 'Agent has not finished recovery');
      agreeable(received);
      if (server.calls.length === 1) received.response.end();
    });
    const connection = new ExecutorConnection({ ...options, environment: environment(server.origin) });
    await using _ = running(connection, recorder().handler);
    await server.received('SUBSCRIBE', 3);
  });

  test('gives up when the agent stays away for longer than the recovery timeout', async () => {
    await using server = await startScriptedServer((received) => {
      agreeable(received);
      received.response.end();
    });
    const connection = new ExecutorConnection({ ...options, environment: environment(server.origin, 0) });
    await expect(connection.run(recorder().handler, AbortSignal.timeout(5000))).rejects.toBeInstanceOf(
      RecoveryTimeoutError,
    );
  });
});

describe('readExecutorEnvironment', () => {
  const given = {
    MESOS_AGENT_ENDPOINT: '127.0.0.1:5051',
    MESOS_SLAVE_ID: 'S1',
    MESOS_FRAMEWORK_ID: 'fw',
    MESOS_EXECUTOR_ID: 'ex-1',
    MESOS_SANDBOX: '/sandbox',
    MESOS_CHECKPOINT: '1',
    MESOS_RECOVERY_TIMEOUT: '15mins',
    MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD: '5secs',
  };

  test('reads what the recorded agent gave', () => {
    expect(readExecutorEnvironment({ ...given })).toEqual({
      origin: 'http://127.0.0.1:5051',
      agentId: 'S1',
      frameworkId: 'fw',
      executorId: 'ex-1',
      sandbox: '/sandbox',
      recoveryTimeoutMs: 900_000,
      shutdownGraceMs: 5000,
    });
  });

  test('takes the token out of the environment', () => {
    const environment: NodeJS.ProcessEnv = { ...given, MESOS_EXECUTOR_AUTHENTICATION_TOKEN: 'jwt' };
    expect(readExecutorEnvironment(environment).token).toBe('jwt');
    expect(environment.MESOS_EXECUTOR_AUTHENTICATION_TOKEN).toBeUndefined();
  });

  test('says which variable is missing', () => {
    expect(() => readExecutorEnvironment({})).toThrow('MESOS_AGENT_ENDPOINT is not set');
  });
});
