/** A local master and agent in this process, over their real HTTP handlers, without sockets and under a virtual clock. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { startAgent } from '#mesos/local/agent/agent.ts';
import type { Launcher } from '#mesos/local/agent/launcher.ts';
import { startMaster } from '#mesos/local/master/master.ts';
import { parseResources } from '#mesos/local/resources.ts';
import { type OperatorClient, operatorClient } from '#mesos/operator.ts';
import { takeScalar } from '#mesos/resources.ts';
import { SchedulerConnection } from '#mesos/scheduler.ts';
import type { SchedulerEvent } from '#mesos/types.ts';
import { Life } from '#test/chaos/life.ts';
import { Network } from '#test/chaos/network.ts';
import { promisesOnly, VirtualClock } from '#test/virtual-clock.ts';
import type { Memory } from '../decide.ts';
import type { Counters } from '../host.ts';
import { Monitor, type MonitorOptions } from '../monitor.ts';
import { defaultPolicy } from '../policy.ts';

const master = 'http://10.0.0.1:5050';
export const identity = { role: 'vm', hostRole: 'host-services' } as const;
export const share = { cpus: 500, mem: 512, disk: 0 } as const;

export interface Lab extends Disposable {
  readonly clock: VirtualClock;
  /** Of somebody else. */
  readonly operator: OperatorClient;
  /** Types of all calls to the operator API. */
  readonly calls: string[];
  newLife(name: string): Life;
  operatorOf(life: Life): OperatorClient;
  /** What a monitor has written: outlives it. */
  readonly disk: { memory?: Memory };
  monitor(life: Life, readHost: (clock: Clock) => Counters): Monitor;
  /** A framework that starts one task of so many thousandths of a processor wherever they are offered. Gives the states of its tasks. */
  runTask(milli: number): readonly string[];
}

/** Executors that never get ready: their tasks hold what they were given until they are killed. */
const launcher: Launcher = {
  launch() {
    const exited = Promise.withResolvers<number>();
    return { exited: exited.promise, kill: () => exited.resolve(9) };
  },
};

export async function openLab(resources: string): Promise<Lab> {
  const clock = new VirtualClock(promisesOnly());
  const directory = mkdtempSync(join(tmpdir(), 'cf-monitor-'));
  const lives: Life[] = [];
  const calls: string[] = [];
  const newLife = (name: string) => {
    const life = new Life(name, clock, lives.length + 1);
    lives.push(life);
    return life;
  };
  const network = new Network(
    clock,
    seededRandom(1),
    { request: (_from, _to, _path, body) => ({ body }), chunk: (_from, _to, chunk) => ({ pieces: [chunk] }) },
    {
      sent: (_life, { path, body }) =>
        void (path === '/api/v1' && calls.push((JSON.parse(body) as { type: string }).type)),
      heard: () => undefined,
      closed: () => undefined,
    },
  );
  const common = (life: Life) => ({ clock: life.clock, random: life.random, serve: network.serveIn(life) });
  const [masterLife, agentLife] = [newLife('master/1'), newLife('agent/1')];
  await startMaster({ ...{ host: '10.0.0.1', port: 5050, workDir: join(directory, 'master') }, ...common(masterLife) });
  await startAgent({
    ...{ host: '10.0.1.1', port: 5051, master, workDir: join(directory, 'agent'), hostname: 'h1' },
    ...{ launcher, executorRegistrationTimeoutMs: 86_400_000 },
    ...{ resources: parseResources(resources), turn: async () => undefined, connect: network.connectFrom(agentLife) },
    ...common(agentLife),
  });
  const operatorOf = (life: Life) =>
    operatorClient({ masters: [master], clock: life.clock, connect: network.connectFrom(life) });
  const disk: { memory?: Memory } = {};
  await clock.advance(5_000);
  return {
    ...{ clock, calls, newLife, operatorOf, disk, operator: operatorOf(newLife('somebody/1')) },
    monitor(life, readHost) {
      const options: MonitorOptions = {
        ...{ operator: operatorOf(life), hostname: 'h1', identity, share, policy: defaultPolicy, log: silentLog },
        ...{ clock: life.clock, random: life.random, readHost: async () => readHost(life.clock) },
        store: {
          read: () => disk.memory,
          write(memory) {
            disk.memory = memory;
          },
        },
      };
      return new Monitor(options);
    },
    runTask(milli) {
      const life = newLife('framework/1');
      const states: string[] = [];
      const connection = new SchedulerConnection({
        ...{
          masters: [master],
          clock: life.clock,
          random: life.random,
          log: silentLog,
          connect: network.connectFrom(life),
        },
        framework: {
          ...{ id: { value: 'f1' }, user: 'root', name: 'f1', roles: [identity.role], checkpoint: true },
          capabilities: [{ type: 'MULTI_ROLE' }, { type: 'RESERVATION_REFINEMENT' }],
        },
      });
      const onEvent = async (event: SchedulerEvent) => {
        if (event.type === 'UPDATE') {
          const { agent_id, task_id, state, uuid } = event.update.status;
          states.push(state);
          if (uuid) await connection.call({ type: 'ACKNOWLEDGE', acknowledge: { agent_id: agent_id!, task_id, uuid } });
        }
        if (event.type !== 'OFFERS') return;
        for (const { id, agent_id, resources = [] } of event.offers.offers) {
          const taken = states.length === 0 ? takeScalar(resources, 'cpus', milli)?.taken : undefined;
          const task = {
            name: 't1',
            task_id: { value: 't1' },
            agent_id,
            resources: taken!,
            command: { value: 'sleep' },
          };
          if (taken) states.push('LAUNCHED');
          const operations = taken ? [{ type: 'LAUNCH' as const, launch: { task_infos: [task] } }] : [];
          await connection.call({
            type: 'ACCEPT',
            accept: { offer_ids: [id], operations, filters: { refuse_seconds: 5 } },
          });
        }
      };
      void connection.run({ onEvent, onDisconnected: () => undefined }, new AbortController().signal);
      return states;
    },
    [Symbol.dispose]() {
      for (const life of lives) life.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
