import { expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { operatorClient } from './operator.ts';
import { answer, startScriptedServer, stream } from './testing/scripted-server.ts';

const agents = { get_agents: { agents: [{ agent_info: { id: { value: 'S1' }, hostname: 'h1' } }] } };

test('asks the leader, wherever a follower says that it is, and stays with it', async () => {
  await using leader = await startScriptedServer(({ response }) => answer(response, 200, JSON.stringify(agents)));
  await using follower = await startScriptedServer(({ response }) =>
    answer(response, 307, '', { location: `${leader.origin.slice('http:'.length)}/master/api/v1` }),
  );
  await using operator = operatorClient({ masters: [follower.origin], clock: systemClock });
  expect(await operator.agents()).toEqual(agents.get_agents);
  await operator.agents();
  expect(follower.calls).toHaveLength(1);
  expect(leader.calls).toHaveLength(2);
});

test('goes on to the next master when one does not answer or has no leader', async () => {
  await using recovering = await startScriptedServer(({ response }) => answer(response, 503, 'No leader elected'));
  await using leader = await startScriptedServer(({ response }) => answer(response, 200, JSON.stringify(agents)));
  await using operator = operatorClient({ masters: [recovering.origin, leader.origin], clock: systemClock });
  expect(await operator.agents()).toEqual(agents.get_agents);
});

test('masters that point at each other end in an error', async () => {
  await using a = await startScriptedServer(({ response }) =>
    answer(response, 307, '', { location: `${a.origin}/api/v1` }),
  );
  await using operator = operatorClient({ masters: [a.origin], clock: systemClock });
  await expect(operator.agents()).rejects.toThrow('4 redirects led to no master that does');
});

test('a refusal carries its status and what Mesos wrote', async () => {
  await using server = await startScriptedServer(({ response }) => answer(response, 409, 'Not enough resources'));
  await using operator = operatorClient({ masters: [server.origin], clock: systemClock });
  await expect(
    operator.call({ type: 'RESERVE_RESOURCES', reserve_resources: { agent_id: { value: 'S1' } } }),
  ).rejects.toMatchObject({
    status: 409,
    body: 'Not enough resources',
  });
});

test('changes are answered without a body', async () => {
  await using server = await startScriptedServer(({ response }) => answer(response, 202));
  await using operator = operatorClient({ masters: [server.origin], clock: systemClock });
  expect(
    await operator.call({ type: 'UNRESERVE_RESOURCES', unreserve_resources: { agent_id: { value: 'S1' } } }),
  ).toBeUndefined();
});

test('a subscription gives events until the stream ends, and an error when it stays silent', async () => {
  const subscribed = { type: 'SUBSCRIBED', subscribed: { heartbeat_interval_seconds: 0.01 } };
  await using server = await startScriptedServer(({ response }) => {
    stream(response, [subscribed, { type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: 'S1' } } }]);
    if (server.calls.length === 1) response.end();
  });
  await using operator = operatorClient({ masters: [server.origin], clock: systemClock });
  const events = await Array.fromAsync(operator.subscribe(AbortSignal.timeout(5000)));
  expect(events.map(({ type }) => type)).toEqual(['SUBSCRIBED', 'AGENT_REMOVED']);
  await expect(Array.fromAsync(operator.subscribe(AbortSignal.timeout(5000)))).rejects.toThrow('silent');
});
