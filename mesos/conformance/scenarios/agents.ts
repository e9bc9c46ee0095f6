/** Agents and executors that die and return: recordings 04, 14, 15, 16, 18, 31, 37, 21. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Offer } from '#mesos/types.ts';
import { executorOf, labCommand, type TestScheduler, taskOn } from '../../local/testing/scheduler.ts';
import type { Scenario, World } from '../scenario.ts';

/** A task on a custom executor of the agent. */
async function launchOn(
  world: World,
  scheduler: TestScheduler,
  agent: string,
  task: string,
  command = labCommand,
): Promise<Offer> {
  const offer = await world.offer(scheduler, agent);
  await world.accept(scheduler, offer, [taskOn(offer, task, executorOf(`${task}-ex`, command))]);
  return offer;
}

interface FrameworkView {
  readonly framework_info: { readonly id: { readonly value: string } };
  readonly offers?: readonly object[];
}

/** The processes of the session of `leader`, as far as they are no zombies. */
function sessionOf(leader: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && isOf(pid, leader));
}

function isOf(pid: number, leader: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(session) === leader && state !== 'Z' && state !== 'X';
  } catch {
    return false; // Ended meanwhile.
  }
}

const drained = (text: string) => text.includes('"state":"DRAINED"') || undefined;

export const agents: readonly Scenario[] = [
  {
    name: 'framework messages pass both ways, and SHUTDOWN ends an executor with its tasks',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await launchOn(world, scheduler, agent.id, task);
      await world.status(scheduler, task, 'TASK_RUNNING');
      await scheduler.message(agent.id, `${task}-ex`, 'ping');
      const pong = await world.until('MESSAGE', () => scheduler.events.find((event) => event.type === 'MESSAGE'));
      expect(Buffer.from(pong.message.data, 'base64').toString()).toBe('pong:ping');
      const shutdown = { executor_id: { value: `${task}-ex` }, agent_id: { value: agent.id } };
      await scheduler.call({ type: 'SHUTDOWN', shutdown });
      await world.until('the end of the task', () => world.hasEnded(scheduler, task) || undefined);
    },
  },
  {
    name: 'an executor that exits is a FAILURE with its wait status, and its tasks failed',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await launchOn(world, scheduler, agent.id, task, 'exit 7');
      expect(await world.status(scheduler, task, 'TASK_FAILED')).toMatchObject({
        source: 'SOURCE_AGENT',
        reason: 'REASON_EXECUTOR_TERMINATED',
      });
      // Agents of other scenarios fail too.
      const failure = await world.until('FAILURE', () =>
        scheduler.events.find((event) => event.type === 'FAILURE' && event.failure.executor_id !== undefined),
      );
      expect(failure).toMatchObject({ failure: { executor_id: { value: `${task}-ex` }, status: 7 << 8 } });
    },
  },
  {
    name: 'an executor survives kill -9 of its agent and answers the next one',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await launchOn(world, scheduler, agent.id, task);
      await world.status(scheduler, task, 'TASK_RUNNING');
      await world.aWhile(); // The acknowledgements are with the agent.
      await agent.kill();
      expect(await agent.start()).toBe(agent.id);
      await world.until('an answer', async () => {
        await scheduler.message(agent.id, `${task}-ex`, 'still there?');
        return scheduler.events.find(({ type }) => type === 'MESSAGE');
      });
      expect(world.hasEnded(scheduler, task)).toBe(false);
    },
  },
  {
    name: 'an executor that does not heed SHUTDOWN is killed with all its processes when its grace is over',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      const offer = await world.offer(scheduler, agent.id);
      const shutdown_grace_period = { nanoseconds: 1e9 };
      const executor = { ...executorOf(`${task}-ex`, `sleep 1234 & ${labCommand}`), shutdown_grace_period };
      await world.accept(scheduler, offer, [taskOn(offer, task, executor)]);
      const running = await world.status(scheduler, task, 'TASK_RUNNING');
      const { executor_pid } = running.container_status as { executor_pid: number };
      const members = () => sessionOf(executor_pid);
      expect(members().length).toBeGreaterThan(1);
      // Stopped, it heeds nothing; a killed process that is stopped dies all the same.
      for (const pid of members()) process.kill(pid, 'SIGSTOP');
      const shutdown = { executor_id: executor.executor_id, agent_id: offer.agent_id };
      await scheduler.call({ type: 'SHUTDOWN', shutdown });
      await world.until('the end of the task', () => world.hasEnded(scheduler, task) || undefined);
      await world.until('the end of its processes', () => members().length === 0 || undefined);
    },
  },
  {
    name: 'a silent agent is unreachable, and so are its tasks until it returns',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await launchOn(world, scheduler, agent.id, task);
      await world.status(scheduler, task, 'TASK_RUNNING');
      await world.aWhile();
      await agent.kill();
      const lost = await world.status(scheduler, task, 'TASK_UNREACHABLE');
      expect(lost).toMatchObject({ source: 'SOURCE_MASTER', reason: 'REASON_AGENT_REMOVED', unreachable_time: {} });
      expect(lost.uuid).toBeUndefined();
      await world.until('FAILURE', () =>
        scheduler.events.find((event) => event.type === 'FAILURE' && event.failure.agent_id?.value === agent.id),
      );
      const before = scheduler.statuses(task).length;
      const tasks = [{ task_id: { value: task }, agent_id: { value: agent.id } }];
      await scheduler.call({ type: 'RECONCILE', reconcile: { tasks } });
      expect(await world.status(scheduler, task, 'TASK_UNREACHABLE', before)).toMatchObject({
        reason: 'REASON_RECONCILIATION',
        unreachable_time: {},
      });
      expect(await agent.start()).toBe(agent.id);
      expect(await world.status(scheduler, task, 'TASK_RUNNING', before)).toMatchObject({
        reason: 'REASON_AGENT_REREGISTERED',
        message: 'Unreachable agent re-reregistered',
      });
    },
  },
  {
    name: 'an agent that an operator declared gone takes its tasks with it and does not come back',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await world.launch(scheduler, task, 'sleep 1000', agent.id);
      await world.status(scheduler, task, 'TASK_RUNNING');
      const agent_id = { value: agent.id };
      const gone = (id: object) => world.operatorStatus({ type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: id } });
      expect(await gone(agent_id)).toEqual({ status: 200, text: '' });
      expect(await world.status(scheduler, task, 'TASK_GONE_BY_OPERATOR')).toMatchObject({
        reason: 'REASON_AGENT_REMOVED_BY_OPERATOR',
        message: 'Agent has been marked gone',
      });
      await world.until('the end of the agent', () => !agent.isRunning() || undefined);
      await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [{ task_id: { value: task }, agent_id }] } });
      expect(await world.status(scheduler, task, 'TASK_GONE_BY_OPERATOR', 3)).toMatchObject({
        message: 'Reconciliation: Task is gone',
      });
      expect(await gone({ value: 'zz' })).toEqual({ status: 404, text: `Agent 'zz' not found` });
      // Started again on what it remembers it is told to end once more, and is no agent of the cluster.
      await agent.launch();
      await world.until('the end of the agent that came back', () => !agent.isRunning() || undefined);
      expect((await world.operatorStatus({ type: 'GET_AGENTS' })).text).not.toContain(agent.id);
    },
  },
  {
    name: 'a machine that is taken down loses its tasks; the schedule cannot forget it until it is up again',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await world.launch(scheduler, task, 'sleep 1000', agent.id);
      await world.status(scheduler, task, 'TASK_RUNNING');
      const machine = { hostname: agent.hostname, ip: '127.0.0.1' };
      const unavailability = { start: { nanoseconds: Date.now() * 1_000_000 } };
      const windows = [{ machine_ids: [machine], unavailability }];
      const call = (type: string, body: object) => world.operatorStatus({ type, [type.toLowerCase()]: body });
      await call('UPDATE_MAINTENANCE_SCHEDULE', { schedule: { windows } });
      expect(await call('START_MAINTENANCE', { machines: [machine] })).toEqual({ status: 200, text: '' });
      world.defer(() => call('STOP_MAINTENANCE', { machines: [machine] }));
      expect(await world.status(scheduler, task, 'TASK_LOST')).toMatchObject({
        reason: 'REASON_AGENT_REMOVED',
        message: `Agent ${agent.hostname} removed: Operator initiated 'Machine DOWN'`,
      });
      await world.until('the end of the agent', () => !agent.isRunning() || undefined);
      expect(await call('UPDATE_MAINTENANCE_SCHEDULE', { schedule: { windows: [] } })).toMatchObject({ status: 400 });
      expect(await call('STOP_MAINTENANCE', { machines: [machine] })).toEqual({ status: 200, text: '' });
      await agent.start();
    },
  },
  {
    name: 'a drained agent ends its tasks for that reason, and is offered again when it is reactivated',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await world.launch(scheduler, task, 'sleep 1000', agent.id);
      await world.status(scheduler, task, 'TASK_RUNNING');
      const agent_id = { value: agent.id };
      const drain = (more: object) => world.operatorStatus({ type: 'DRAIN_AGENT', drain_agent: { agent_id, ...more } });
      expect(await drain({ max_grace_period: '5s' })).toEqual({
        status: 400,
        text: `Failed to convert JSON into Call protobuf: Not expecting a JSON string for field 'max_grace_period'`,
      });
      expect(await drain({ max_grace_period: { seconds: 5 } })).toEqual({ status: 200, text: '' });
      expect(await world.status(scheduler, task, 'TASK_KILLED')).toMatchObject({ reason: 'REASON_AGENT_DRAINING' });
      await world.until('DRAINED', async () => drained((await world.operatorStatus({ type: 'GET_AGENTS' })).text));
      scheduler.offers.length = 0;
      expect(await world.operatorStatus({ type: 'REACTIVATE_AGENT', reactivate_agent: { agent_id } })).toMatchObject({
        status: 200,
      });
      await world.offer(scheduler, agent.id);
    },
  },
  {
    name: 'a dynamic reservation survives the restart of its agent',
    needs: 'agents',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const reservations = [{ type: 'DYNAMIC', role: world.role }];
      const resources = [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, reservations }];
      const body = { agent_id: { value: agent.id }, resources };
      expect(await world.operatorStatus({ type: 'RESERVE_RESOURCES', reserve_resources: body })).toMatchObject({
        status: 202,
      });
      await world.aWhile();
      await agent.kill();
      expect(await agent.start()).toBe(agent.id);
      await scheduler.call({ type: 'REVIVE' });
      await world.until('an offer of it', () =>
        scheduler.offers.find((offer) => offer.resources?.some((one) => one.reservations?.[0]?.role === world.role)),
      );
    },
  },
  {
    name: 'a framework that a restarted master knows from its agents only is offered nothing until it subscribes',
    needs: 'master restart',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await launchOn(world, scheduler, agent.id, task);
      await world.status(scheduler, task, 'TASK_RUNNING');
      await world.aWhile();
      await world.subject.restartMaster!();
      const own = async () => {
        type Frameworks = { get_frameworks: { frameworks?: FrameworkView[] } };
        const { get_frameworks } = await world.operator<Frameworks>({ type: 'GET_FRAMEWORKS' });
        return get_frameworks.frameworks?.find(
          ({ framework_info }) => framework_info.id.value === scheduler.frameworkId,
        );
      };
      await world.until('the framework', () => own().catch(() => undefined));
      await world.aWhile();
      const known = await own();
      expect(known).toMatchObject({ recovered: true, connected: false, active: false });
      expect(known?.offers ?? []).toEqual([]);
      scheduler.offers.length = 0;
      await scheduler.subscribe(world.info());
      await world.offer(scheduler, agent.id);
      expect(await own()).toMatchObject({ recovered: false, connected: true });
    },
  },
  {
    name: 'a master that restarted says nothing of agents that are not back, and has their tasks when they are',
    needs: 'master restart',
    async run(world) {
      const [scheduler, agent] = [await world.scheduler(), await world.agent()];
      const task = `${world.role}-t`;
      await launchOn(world, scheduler, agent.id, task);
      await world.status(scheduler, task, 'TASK_RUNNING');
      await world.aWhile();
      await agent.kill();
      await world.subject.restartMaster!();
      // A connection that was kept open is found closed first.
      await world.until('the new subscription', () =>
        scheduler.subscribe(world.info()).then(
          () => true,
          () => undefined,
        ),
      );
      const before = scheduler.statuses(task).length;
      const [mine, other] = [{ value: task }, { value: `${world.role}-other` }];
      const tasks = [{ task_id: mine }, { task_id: mine, agent_id: { value: agent.id } }];
      const asked = [...tasks, { task_id: other, agent_id: { value: 'other-S9' } }];
      await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: asked } });
      await world.status(scheduler, other.value, 'TASK_UNKNOWN');
      expect(scheduler.statuses(task)).toHaveLength(before);
      expect(await agent.start()).toBe(agent.id);
      await scheduler.call({ type: 'RECONCILE', reconcile: { tasks } });
      await world.status(scheduler, task, 'TASK_RUNNING', before);
    },
  },
];
