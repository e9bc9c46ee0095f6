/** Subscribing, failing over, being refused, and ending: recordings 01, 06, 08, 33. */
import { expect } from 'vitest';
import { TestScheduler } from '../../local/testing/scheduler.ts';
import { decodeRecords } from '../../recordio.ts';
import type { Scenario } from '../scenario.ts';

/** Sends a request as it is. */
async function raw(url: string, options: { method?: string; headers?: Record<string, string>; body?: string }) {
  const response = await fetch(url, { method: 'POST', redirect: 'manual', ...options });
  return { status: response.status, text: (await response.text()).trim(), location: response.headers.get('location') };
}

export const sessions: readonly Scenario[] = [
  {
    name: 'a subscription begins with SUBSCRIBED and a heartbeat',
    async run(world) {
      const scheduler = await world.scheduler();
      expect(scheduler.streamId).toMatch(/^[0-9a-f-]{36}$/);
      await world.until('HEARTBEAT', () => scheduler.events.find(({ type }) => type === 'HEARTBEAT'));
      expect(scheduler.events[0]).toMatchObject({
        type: 'SUBSCRIBED',
        subscribed: { framework_id: { value: scheduler.frameworkId }, master_info: { version: expect.any(String) } },
      });
    },
  },
  {
    name: 'an id that the master never issued is taken as it is',
    async run(world) {
      const scheduler = new TestScheduler(world.url);
      scheduler.frameworkId = `${world.role}-own`;
      world.defer(() => scheduler.post({ type: 'TEARDOWN' }));
      await scheduler.subscribe(world.info());
      expect(scheduler.frameworkId).toBe(`${world.role}-own`);
    },
  },
  {
    name: 'whoever subscribes last with an id has it; the former one is told and cut off',
    async run(world) {
      const first = await world.scheduler();
      await world.offer(first);
      const second = new TestScheduler(world.url);
      second.frameworkId = first.frameworkId;
      world.defer(() => second[Symbol.asyncDispose]());
      await second.subscribe(world.info());
      await world.until('the end of the first stream', () => first.ended || undefined);
      expect(first.events.at(-1)).toEqual({ type: 'ERROR', error: { message: 'Framework failed over' } });
      expect(await first.post({ type: 'REVIVE' })).toMatchObject({
        status: 400,
        text: expect.stringContaining(`didn't match the stream ID currently associated with framework ID`),
      });
      expect(first.events.filter(({ type }) => type === 'RESCIND')).toEqual([]);
      await world.offer(second);
      first.streamId = second.streamId; // So that it can be torn down.
    },
  },
  {
    name: 'a framework that is not connected may not call',
    async run(world) {
      const scheduler = await world.scheduler();
      await scheduler[Symbol.asyncDispose]();
      const answer = await world.until('the disconnection', async () => {
        const got = await scheduler.post({ type: 'REVIVE' });
        return got.status === 202 ? undefined : got;
      });
      expect(answer).toEqual({ status: 403, text: 'Framework is not subscribed' });
      await scheduler.subscribe(world.info());
    },
  },
  {
    name: 'what is wrong with a FrameworkInfo is said on the stream, which then ends',
    async run(world) {
      for (const [info, message] of [
        [{ roles: ['/bad'] }, /Role '\/bad' cannot start/],
        [{ roles: ['a', 'a'] }, /duplicate items/],
        [{ role: 'x' }, /must not be set when the framework is MULTI_ROLE capable/],
      ] as const) {
        const scheduler = new TestScheduler(world.url);
        void scheduler.subscribe({ ...world.info(), ...info }).catch(() => undefined);
        const error = await world.until('ERROR', () => scheduler.events.find(({ type }) => type === 'ERROR'));
        expect(JSON.stringify(error)).toMatch(message);
        await world.until('the end', () => scheduler.ended || undefined);
      }
    },
  },
  {
    name: 'TEARDOWN ends the stream, and the id is refused for ever',
    async run(world) {
      const scheduler = await world.scheduler();
      expect(await scheduler.post({ type: 'TEARDOWN' })).toEqual({ status: 202, text: '' });
      await world.until('the end', () => scheduler.ended || undefined);
      const again = new TestScheduler(world.url);
      again.frameworkId = scheduler.frameworkId;
      void again.subscribe(world.info()).catch(() => undefined);
      const error = await world.until('ERROR', () => again.events.find(({ type }) => type === 'ERROR'));
      expect(error).toEqual({ type: 'ERROR', error: { message: 'Framework has been removed' } });
    },
  },
  {
    name: 'an operator may tear a framework down, once',
    async run(world) {
      const scheduler = await world.scheduler();
      const call = { type: 'TEARDOWN', teardown: { framework_id: { value: scheduler.frameworkId } } };
      expect(await world.operatorStatus(call)).toEqual({ status: 200, text: '' });
      await world.until('the end', () => scheduler.ended || undefined);
      expect(scheduler.events.some(({ type }) => type === 'ERROR')).toBe(false);
      expect(await world.operatorStatus(call)).toEqual({ status: 400, text: 'No framework found with specified ID' });
    },
  },
  {
    name: 'a framework with failover_timeout 0 is gone with its connection',
    async run(world) {
      const scheduler = await world.scheduler({ failover_timeout: 0 });
      await world.launch(scheduler, `${world.role}-t`);
      await world.status(scheduler, `${world.role}-t`, 'TASK_RUNNING');
      await scheduler[Symbol.asyncDispose]();
      await world.until('its removal', async () => {
        type Frameworks = { get_frameworks: { frameworks?: { framework_info: { id: { value: string } } }[] } };
        const { get_frameworks } = await world.operator<Frameworks>({ type: 'GET_FRAMEWORKS' });
        const isThere = get_frameworks.frameworks?.some((f) => f.framework_info.id.value === scheduler.frameworkId);
        return isThere ? undefined : true;
      });
    },
  },
  {
    name: 'UPDATE_FRAMEWORK is answered 200, and refused where it may not change',
    async run(world) {
      const scheduler = await world.scheduler();
      const info = world.info({ id: { value: scheduler.frameworkId! } });
      const update = (framework_info: object) =>
        scheduler.post({ type: 'UPDATE_FRAMEWORK', update_framework: { framework_info } });
      expect(await update({ ...info, failover_timeout: 7200 })).toEqual({ status: 200, text: '' });
      expect(await update({ ...info, checkpoint: false })).toEqual({
        status: 400,
        text: "FrameworkInfo update is not valid: Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from 'true' to 'false'",
      });
    },
  },
  {
    name: 'bad requests are refused in a fixed order and in fixed words',
    async run(world) {
      const scheduler = await world.scheduler();
      const json = { 'content-type': 'application/json' };
      const id = `"framework_id":{"value":"${scheduler.frameworkId}"}`;
      const revive = `{${id},"type":"REVIVE"}`;
      const stream = { 'mesos-stream-id': scheduler.streamId };
      const cases: [headers: Record<string, string>, body: string, status: number, text: string][] = [
        [json, '{"type": "REV', 400, 'Failed to parse body into JSON: syntax error at line 1 near:'],
        [json, '{}', 400, `Failed to validate scheduler::Call: Expecting 'type' to be present`],
        [
          json,
          `{${id},"type":"NO_SUCH_CALL"}`,
          400,
          `Failed to validate scheduler::Call: Expecting 'type' to be present`,
        ],
        [json, '{"type":"REVIVE"}', 400, `Failed to validate scheduler::Call: Expecting 'framework_id' to be present`],
        [json, `{${id},"type":"KILL"}`, 400, `Failed to validate scheduler::Call: Expecting 'kill' to be present`],
        [json, '{"framework_id":{"value":"nope"},"type":"REVIVE"}', 400, 'Framework cannot be found'],
        [json, revive, 400, `All non-subscribe calls should include the 'Mesos-Stream-Id' header`],
        [json, '{"type":"SUBSCRIBE"}', 400, `Failed to validate scheduler::Call: Expecting 'subscribe' to be present`],
        [
          { 'content-type': 'application/json; charset=utf-8', ...stream },
          revive,
          415,
          `Expecting 'Content-Type' of application/json or application/x-protobuf`,
        ],
        [
          { ...json, ...stream },
          `{${id},"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":"x"},"task_id":{"value":"y"},"uuid":"AAAA"}}`,
          400,
          'Failed to validate scheduler::Call: Not a valid UUID',
        ],
      ];
      for (const [headers, body, status, text] of cases)
        expect(await raw(`${world.url}/api/v1/scheduler`, { headers, body }), body).toMatchObject({ status, text });
      expect((await raw(`${world.url}/api/v1/scheduler`, { method: 'GET' })).status).toBe(405);
      const known = { ...json, ...stream };
      const odd = `{${id},"type":"REVIVE","no_such_field":1,"revive":{"rolez":["x"]}}`;
      expect((await raw(`${world.url}/api/v1/scheduler`, { headers: known, body: odd })).status).toBe(202);
    },
  },
  {
    name: 'numbers may be written as text, and null is nothing',
    async run(world) {
      const scheduler = await world.scheduler({ failover_timeout: '3600' as never, hostname: null as never });
      const { id, agent_id } = await world.offer(scheduler);
      const filters = { refuse_seconds: '1000' };
      await scheduler.call({ type: 'DECLINE', decline: { offer_ids: [id], filters }, kill: null });
      await world.aWhile();
      expect(scheduler.offers.filter((offer) => offer.agent_id.value === agent_id.value)).toEqual([]);
      expect(await scheduler.post({ type: 'DECLINE', decline: { filters: { refuse_seconds: 'soon' } } })).toMatchObject(
        { status: 400, text: expect.stringContaining('Failed to convert JSON into Call protobuf') },
      );
    },
  },
  {
    name: 'a stream is chunks of RecordIO, never compressed, whatever the client would take',
    async run(world) {
      const headers = { 'content-type': 'application/json', accept: 'application/json', 'accept-encoding': 'gzip' };
      const body = JSON.stringify({ type: 'SUBSCRIBE' });
      const end = new AbortController();
      world.defer(async () => end.abort());
      const response = await fetch(`${world.url}/api/v1`, { method: 'POST', headers, body, signal: end.signal });
      expect(response.headers.get('content-encoding')).toBeNull();
      expect(response.headers.get('content-length')).toBeNull();
      for await (const event of decodeRecords(response.body!)) {
        expect(event).toMatchObject({ type: 'SUBSCRIBED' });
        break;
      }
    },
  },
  {
    name: '/redirect says who leads, without a scheme',
    async run(world) {
      const { status, location } = await raw(`${world.url}/redirect`, { method: 'GET' });
      expect(status).toBe(307);
      expect(location).toMatch(/^\/\/[^/]+:\d+$/);
      expect((await raw(`${world.url}/health`, { method: 'GET' })).status).toBe(200);
    },
  },
  {
    name: 'a master that does not lead sends every call to the one that does',
    needs: 'two masters',
    async run(world) {
      const [, follower] = world.subject.masters;
      const headers = { 'content-type': 'application/json' };
      for (const path of ['/api/v1', '/api/v1/scheduler']) {
        const answer = await raw(`${follower}${path}`, { headers, body: '{"type":"GET_HEALTH"}' });
        expect(answer).toMatchObject({ status: 307, location: expect.stringMatching(`^//[^/]+:\\d+/master${path}$`) });
      }
      expect((await raw(`${follower}/health`, { method: 'GET' })).status).toBe(200);
    },
  },
];
