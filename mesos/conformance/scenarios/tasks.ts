/** Launching, acknowledging, killing: recordings 03, 05, 07, 34. */
import { expect } from 'vitest';
import type { Offer, TaskInfo } from '#mesos/types.ts';
import type { TestScheduler } from '../../local/testing/scheduler.ts';
import { type Scenario, scalar, type World } from '../scenario.ts';

const states = (statuses: readonly { readonly state: string }[]) => statuses.map(({ state }) => state);

/** Tasks that sleep, in a group of the default executor. */
function launchGroup(
  world: World,
  scheduler: TestScheduler,
  offer: Offer,
  ids: readonly string[],
  change: (task: TaskInfo) => TaskInfo = (task) => task,
): Promise<void> {
  const executor = {
    type: 'DEFAULT',
    executor_id: { value: `${world.role}-pod` },
    framework_id: { value: scheduler.frameworkId },
    resources: [scalar('cpus', 0.1), scalar('mem', 32), scalar('disk', 32)],
  };
  const tasks = ids.map((id) => change(world.task(offer, id)));
  const operations = [{ type: 'LAUNCH_GROUP', launch_group: { executor, task_group: { tasks } } }];
  return scheduler.call({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations } });
}

export const tasks: readonly Scenario[] = [
  {
    name: 'a command is STARTING, RUNNING, FINISHED, each with a uuid to acknowledge',
    async run(world) {
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      const agent = await world.launch(scheduler, task, 'exit 0');
      await world.status(scheduler, task, 'TASK_FINISHED');
      expect(states(scheduler.statuses(task))).toEqual(['TASK_STARTING', 'TASK_RUNNING', 'TASK_FINISHED']);
      for (const status of scheduler.statuses(task)) {
        expect(status).toMatchObject({
          source: 'SOURCE_EXECUTOR',
          agent_id: { value: agent },
          executor_id: { value: task },
        });
        expect(Buffer.from(status.uuid!, 'base64')).toHaveLength(16);
      }
    },
  },
  {
    name: 'a command that fails is FAILED with its status in words',
    async run(world) {
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      await world.launch(scheduler, task, 'exit 3');
      expect(await world.status(scheduler, task, 'TASK_FAILED')).toMatchObject({
        message: 'Command exited with status 3',
      });
    },
  },
  {
    name: 'the next update of a task comes when the one before was acknowledged, which is sent again until then',
    async run(world) {
      const scheduler = await world.scheduler();
      scheduler.acknowledges = false;
      const task = `${world.role}-t`;
      await world.launch(scheduler, task, 'exit 0');
      const first = await world.status(scheduler, task, 'TASK_STARTING');
      const again = await world.status(scheduler, task, 'TASK_STARTING', 1);
      expect(again.uuid).toBe(first.uuid);
      expect(new Set(states(scheduler.statuses(task)))).toEqual(new Set(['TASK_STARTING']));
      scheduler.acknowledges = true;
      await scheduler.acknowledge(first);
      await world.status(scheduler, task, 'TASK_FINISHED');
    },
  },
  {
    name: 'a task group starts together, and ends together when one of it is killed',
    async run(world) {
      const scheduler = await world.scheduler();
      const offer = await world.offer(scheduler);
      const ids = [`${world.role}-a`, `${world.role}-b`];
      await launchGroup(world, scheduler, offer, ids);
      for (const id of ids) await world.status(scheduler, id, 'TASK_RUNNING');
      const executor_id = { value: `${world.role}-pod` };
      expect(scheduler.statuses(ids[0]!)[0]).toMatchObject({ executor_id, source: 'SOURCE_EXECUTOR' });
      const { agent_id } = offer;
      await scheduler.call({ type: 'KILL', kill: { task_id: { value: ids[0]! }, agent_id } });
      for (const id of ids) {
        await world.status(scheduler, id, 'TASK_KILLED');
        const all = ['TASK_STARTING', 'TASK_RUNNING', 'TASK_KILLING', 'TASK_KILLED'];
        expect(states(scheduler.statuses(id))).toEqual(all);
      }
      const failure = await world.until('FAILURE', () =>
        scheduler.events.find((event) => event.type === 'FAILURE' && event.failure.executor_id !== undefined),
      );
      expect(failure).toMatchObject({ failure: { executor_id, agent_id, status: 0 } });
    },
  },
  {
    name: 'a task group of which one task is wrong is refused as a whole',
    async run(world) {
      const scheduler = await world.scheduler();
      const offer = await world.offer(scheduler);
      const [good, bad] = [`${world.role}-good`, `${world.role}-bad`];
      const other = { agent_id: { value: 'other-S9' } };
      await launchGroup(world, scheduler, offer, [good, bad], (task) =>
        task.name === bad ? { ...task, ...other } : task,
      );
      for (const id of [good, bad]) {
        const status = await world.status(scheduler, id, 'TASK_ERROR');
        expect(status).toMatchObject({ reason: 'REASON_TASK_GROUP_INVALID', source: 'SOURCE_MASTER' });
        expect(status.message).toContain(bad);
        expect(status.uuid).toBeUndefined();
      }
    },
  },
  {
    name: 'what cannot be acknowledged is taken in silence',
    async run(world) {
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      const agent = await world.launch(scheduler, task);
      await world.status(scheduler, task, 'TASK_RUNNING');
      const uuid = Buffer.from('00112233445546678899aabbccddeeff', 'hex').toString('base64');
      const acknowledge = { agent_id: { value: agent }, task_id: { value: task }, uuid };
      expect(await scheduler.post({ type: 'ACKNOWLEDGE', acknowledge })).toMatchObject({ status: 202 });
    },
  },
  {
    name: 'KILL ends a task: KILLING for who asked for it, then KILLED, and its resources are offered again',
    async run(world) {
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      const agent_id = { value: await world.launch(scheduler, task) };
      await world.status(scheduler, task, 'TASK_RUNNING');
      await scheduler.call({ type: 'KILL', kill: { task_id: { value: task }, agent_id } });
      await world.status(scheduler, task, 'TASK_KILLED');
      expect(states(scheduler.statuses(task)).slice(-2)).toEqual(['TASK_KILLING', 'TASK_KILLED']);
    },
  },
  {
    name: 'KILL with another agent id is ignored',
    async run(world) {
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      await world.launch(scheduler, task);
      await world.status(scheduler, task, 'TASK_RUNNING');
      const before = scheduler.statuses(task).length;
      await scheduler.call({ type: 'KILL', kill: { task_id: { value: task }, agent_id: { value: 'other-S9' } } });
      await world.aWhile();
      expect(scheduler.statuses(task)).toHaveLength(before);
    },
  },
  {
    name: 'KILL of a task that nobody knows is answered like a reconciliation',
    async run(world) {
      const scheduler = await world.scheduler();
      const agent_id = (await world.offer(scheduler)).agent_id;
      const [here, nowhere] = [`${world.role}-here`, `${world.role}-nowhere`];
      await scheduler.call({ type: 'KILL', kill: { task_id: { value: here }, agent_id } });
      await scheduler.call({ type: 'KILL', kill: { task_id: { value: nowhere } } });
      expect(await world.status(scheduler, here, 'TASK_GONE')).toMatchObject({ reason: 'REASON_RECONCILIATION' });
      expect(await world.status(scheduler, nowhere, 'TASK_UNKNOWN')).toMatchObject({ reason: 'REASON_RECONCILIATION' });
    },
  },
  {
    name: 'RECONCILE: a known task has its latest state, an unknown one is GONE from an agent that is there, else UNKNOWN',
    async run(world) {
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      const agent_id = { value: await world.launch(scheduler, task) };
      await world.status(scheduler, task, 'TASK_RUNNING');
      const before = scheduler.statuses(task).length;
      const [gone, unknown, nowhere] = ['gone', 'unknown', 'nowhere'].map((name) => `${world.role}-${name}`);
      await scheduler.call({
        type: 'RECONCILE',
        reconcile: {
          tasks: [
            { task_id: { value: task }, agent_id },
            { task_id: { value: gone }, agent_id },
            { task_id: { value: unknown }, agent_id: { value: 'other-S9' } },
            { task_id: { value: nowhere } },
          ],
        },
      });
      const answer = await world.status(scheduler, task, 'TASK_RUNNING', before);
      expect(answer).toMatchObject({
        source: 'SOURCE_MASTER',
        reason: 'REASON_RECONCILIATION',
        message: 'Reconciliation: Latest task state',
        agent_id,
      });
      expect(answer.uuid).toBeUndefined();
      expect(await world.status(scheduler, gone!, 'TASK_GONE')).toMatchObject({
        message: 'Reconciliation: Task is unknown to the agent',
      });
      await world.status(scheduler, unknown!, 'TASK_UNKNOWN');
      await world.status(scheduler, nowhere!, 'TASK_UNKNOWN');
    },
  },
  {
    name: 'RECONCILE without tasks tells of every task there is',
    async run(world) {
      const scheduler = await world.scheduler();
      const ids = [`${world.role}-1`, `${world.role}-2`];
      for (const id of ids) await world.launch(scheduler, id);
      for (const id of ids) await world.status(scheduler, id, 'TASK_RUNNING');
      const before = ids.map((id) => scheduler.statuses(id).length);
      await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [] } });
      for (const [index, id] of ids.entries())
        expect(await world.status(scheduler, id, 'TASK_RUNNING', before[index])).toMatchObject({
          reason: 'REASON_RECONCILIATION',
        });
    },
  },
  {
    name: 'a framework that is not PARTITION_AWARE hears LOST where others hear GONE or UNKNOWN',
    async run(world) {
      const scheduler = await world.scheduler({ capabilities: [{ type: 'MULTI_ROLE' }] });
      const task = `${world.role}-nowhere`;
      await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [{ task_id: { value: task } }] } });
      await world.status(scheduler, task, 'TASK_LOST');
    },
  },
];
