/** A framework that does with updates what the cluster server does, storing left out: hear, and acknowledge each from a bounded number of workers. */
import { WorkQueue } from '#controllers/runtime/queue.ts';
import { TaskBook } from '#controllers/scheduler/task-book.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { Connect } from '#mesos/http.ts';
import { SchedulerConnection } from '#mesos/scheduler.ts';
import type { SchedulerEvent } from '#mesos/types.ts';
import { offers, updates } from './events.ts';

const workers = 32;
const info = { user: 'root', name: 'bench', id: { value: 'cf-0b6f2f6e-3c1e-4a5b-9f42-6c0f5d8e7a11' } };

/** Follows the storm to its end. Resolves when every update is acknowledged and every offer heard. */
export async function weatherTheStorm(master: string, connect?: Connect): Promise<void> {
  const common = { clock: systemClock, random: systemRandom, log: silentLog };
  const framework = { ...info, roles: ['computefactory'], capabilities: [{ type: 'MULTI_ROLE' as const }] };
  const connection = new SchedulerConnection({ ...common, masters: [master], framework, ...(connect && { connect }) });
  const tasks = new TaskBook();
  const queue = new WorkQueue(systemClock, systemRandom);
  const over = new AbortController();
  let acknowledged = 0;
  let heardOffers = 0;
  const whenDone = () => {
    if (acknowledged === updates && heardOffers === offers) over.abort();
  };

  async function work(): Promise<void> {
    for (let taskId = await queue.next(); taskId !== undefined; taskId = await queue.next()) {
      const acks = tasks.pendingAcks(taskId);
      for (const { agentId, uuid } of acks) {
        const acknowledge = { agent_id: { value: agentId }, task_id: { value: taskId }, uuid };
        if (!(await connection.call({ type: 'ACKNOWLEDGE', acknowledge }))) throw new Error('The session was lost');
      }
      tasks.acknowledged(acks);
      acknowledged += acks.length;
      queue.done(taskId);
      whenDone();
    }
  }

  const onEvent = (event: SchedulerEvent) => {
    if (event.type === 'OFFERS') heardOffers += event.offers.offers.length;
    if (event.type === 'UPDATE') {
      tasks.hear(event.update.status, systemClock.monotonic());
      queue.add(event.update.status.task_id.value);
    }
    whenDone();
  };
  over.signal.addEventListener('abort', () => queue.close(), { once: true });
  const running = connection.run({ onEvent, onDisconnected: () => undefined }, over.signal);
  await Promise.all([running, ...Array.from({ length: workers }, work)]);
}
