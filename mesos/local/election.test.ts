import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { SchedulerConnection } from '#mesos/scheduler.ts';
import type { SchedulerEvent } from '#mesos/types.ts';
import { startZooKeeper, whyNoZooKeeper } from '#mesos/zookeeper/testing/server.ts';
import { Registry, RegistryLostError } from './master/registry.ts';
import { eventually, operatorCall, temporaryDirectory } from './testing/cluster.ts';
import { type Program, startAgentProgram, startMasterProgram } from './testing/programs.ts';
import { labFramework } from './testing/scheduler.ts';

const reason = whyNoZooKeeper();
const framework = { ...labFramework, id: { value: 'elected' }, roles: ['vm'] };

test('a master that leads no more cannot write what the next one has claimed', () => {
  using directory = temporaryDirectory();
  const [first, second] = [new Registry(directory.path), new Registry(directory.path)];
  first.claim('one');
  first.setWeights([['vm', 2]]);
  second.claim('two');
  expect([...second.weights]).toEqual([['vm', 2]]);
  expect(() => first.setWeights([['vm', 3]])).toThrow(RegistryLostError);
  second.setWeights([['vm', 4]]);
});

async function elected(masters: readonly Program[]): Promise<Program> {
  return eventually('a leading master', async () => {
    for (const master of masters) {
      const answer = await operatorCall(master.url, { type: 'GET_HEALTH' }).catch(() => undefined);
      if (answer !== undefined) return master;
    }
    return undefined;
  });
}

/** A framework found through ZooKeeper, that launches one task and acknowledges what it hears. */
function follow(zk: string) {
  const options = { masters: [zk], framework, clock: systemClock, random: systemRandom, log: silentLog };
  const connection = new SchedulerConnection(options);
  const events: SchedulerEvent[] = [];
  const stop = new AbortController();
  const onEvent = async (event: SchedulerEvent) => {
    events.push(event);
    if (event.type !== 'UPDATE') return;
    const { agent_id, task_id, uuid } = event.update.status;
    if (agent_id && uuid) await connection.call({ type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } });
  };
  const running = connection.run({ onEvent, onDisconnected() {} }, stop.signal);
  return {
    connection,
    events,
    /** Asks until it is answered: a master says nothing of an agent that has not come back to it. */
    hasRunning: async () => {
      const isRunning = (event: SchedulerEvent) =>
        event.type === 'UPDATE' && event.update.status.state === 'TASK_RUNNING';
      if (events.some(isRunning)) return true;
      await connection.call({ type: 'RECONCILE', reconcile: { tasks: [] } });
      await systemClock.sleep(200);
      return undefined;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

describe.skipIf(reason)('masters behind a real ZooKeeper', () => {
  test('one leads, tasks live on under the next, and who was stopped too long ends itself', {
    timeout: 240_000,
  }, async () => {
    await using stack = new AsyncDisposableStack();
    const zookeeper = stack.use(await startZooKeeper());
    const directory = stack.use(temporaryDirectory());
    const zk = `zk://${zookeeper.address}/mesos`;
    const master = async () => {
      const flags = ['--log-level', 'error', '--zk', zk, '--zk-session-timeout', '6', '--allocation-interval', '0.1'];
      return stack.use(await startMasterProgram(await freePort(), join(directory.path, 'masters'), flags));
    };
    const [a, b] = [await master(), await master()];
    const first = await elected([a, b]);
    const second = first === a ? b : a;
    await eventually('the redirect of who does not lead', async () => {
      const answer = await fetch(`${second.url}/redirect`, { redirect: 'manual' });
      return answer.status === 307 && answer.headers.get('location') === `//${new URL(first.url).host}`;
    });

    stack.use(await startAgentProgram(await freePort(), join(directory.path, 'agent'), zk));
    const scheduler = stack.use(follow(zk));
    const offer = await eventually(
      'an offer',
      () => scheduler.events.find((event) => event.type === 'OFFERS')?.offers.offers[0],
    );
    const resources = [{ name: 'cpus', type: 'SCALAR' as const, scalar: { value: 0.1 } }];
    const task = {
      name: 't',
      task_id: { value: 't' },
      agent_id: offer.agent_id,
      resources,
      command: { value: 'sleep 1000' },
    };
    const operations = [{ type: 'LAUNCH' as const, launch: { task_infos: [task] } }];
    await scheduler.connection.call({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations } });
    await eventually('the task', scheduler.hasRunning);

    await first.kill();
    scheduler.events.length = 0;
    await eventually('the task under the second master', scheduler.hasRunning, 60_000);
    expect(scheduler.connection.master).toBe(second.url);

    const third = await master();
    scheduler.events.length = 0;
    process.kill(second.pid, 'SIGSTOP');
    await eventually('the task under the third master', scheduler.hasRunning, 60_000);
    expect(scheduler.connection.master).toBe(third.url);
    process.kill(second.pid, 'SIGCONT');
    expect(await second.exited).toBe(1);

    await zookeeper.kill();
    await zookeeper.restart();
    // Longer than the master waits before it gives a silent server up.
    await systemClock.sleep(4500);
    expect(await elected([third])).toBe(third);
  });
});
