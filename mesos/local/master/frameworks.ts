/** The life of a framework: subscribed, failed over, disconnected, removed. */

import type { FrameworkInfo } from '#mesos/types.ts';
import { isTerminal } from '#mesos/types.ts';
import { bagOf, render } from '../resources.ts';
import { timeInfo } from '../version.ts';
import { recover, roleOf } from './books.ts';
import { reviveInverseOffers } from './inverse-offers.ts';
import { offerMessage, withdrawOffer } from './offers.ts';
import { type Framework, type Master, newFramework, type SchedulerSession, sendEvent, sendToAgent } from './state.ts';
import { completeTask, masterStatus, recordStatus } from './updates.ts';

const maxCompletedFrameworks = 50;
/** Mesos refuses what does not fit a Duration; timers beyond this never matter. */
const maxTimerMs = 2 ** 31 - 1;

/** A framework as the operator API shows it. */
export function frameworkMessage(master: Master, framework: Framework, full = true): object {
  const allocated = [...framework.allocated].flatMap(([role, bag]) =>
    render(bag, { allocatedTo: role, withRole: true }),
  );
  return {
    framework_info: framework.info,
    active: framework.session !== undefined,
    connected: framework.session !== undefined,
    recovered: framework.recovered,
    registered_time: timeInfo(framework.registeredAt),
    ...(framework.reregisteredAt !== undefined && { reregistered_time: timeInfo(framework.reregisteredAt) }),
    ...(full &&
      framework.offers.size > 0 && { offers: [...framework.offers].map((offer) => offerMessage(master, offer)) }),
    ...(full && allocated.length > 0 && { allocated_resources: allocated }),
  };
}

/** A framework that only agents speak of, because the master that knew it is gone. */
export function recoverFramework(master: Master, info: FrameworkInfo): Framework {
  const id = info.id!.value;
  const framework = newFramework(id, info, master.options.clock.now());
  framework.recovered = true;
  master.frameworks.set(id, framework);
  return framework;
}

/** Gives the framework this connection. A former one is told that it was failed over; its offers end without RESCIND. */
export function connectFramework(master: Master, framework: Framework, session: SchedulerSession): void {
  framework.failover?.[Symbol.dispose]();
  framework.failover = undefined;
  if (framework.session !== undefined) {
    sendEvent(framework, { type: 'ERROR', error: { message: 'Framework failed over' } });
    framework.session.stream.end();
    dropSession(master, framework);
  }
  framework.session = session;
  framework.recovered = false;
  sendEvent(framework, {
    type: 'SUBSCRIBED',
    subscribed: {
      framework_id: { value: framework.id },
      heartbeat_interval_seconds: master.options.heartbeatIntervalMs / 1000,
      master_info: master.info,
    },
  });
  beat(master, framework, session);
  reviveInverseOffers(master, framework, true);
}

function beat(master: Master, framework: Framework, session: SchedulerSession): void {
  if (framework.session !== session) return;
  session.stream.send({ type: 'HEARTBEAT' });
  const { clock, heartbeatIntervalMs } = master.options;
  session.heartbeat = clock.timeout(() => beat(master, framework, session), heartbeatIntervalMs);
}

function dropSession(master: Master, framework: Framework): void {
  framework.session?.heartbeat[Symbol.dispose]();
  framework.session = undefined;
  framework.filters.clear();
  for (const offer of [...framework.offers]) withdrawOffer(master, offer);
}

/** The scheduler's connection broke: it has failover_timeout to come back. */
export function disconnectFramework(master: Master, framework: Framework, session: SchedulerSession): void {
  if (framework.session !== session) return;
  dropSession(master, framework);
  const ms = Math.min((framework.info.failover_timeout ?? 0) * 1000, maxTimerMs);
  master.options.log.info('Framework disconnected', { framework: framework.id, failoverMs: ms });
  framework.failover = master.options.clock.timeout(() => removeFramework(master, framework), ms);
  announce(master, 'FRAMEWORK_UPDATED', framework);
}

export function announce(
  master: Master,
  type: 'FRAMEWORK_ADDED' | 'FRAMEWORK_UPDATED' | 'FRAMEWORK_REMOVED',
  framework: Framework,
): void {
  if (!master.operators.watched) return;
  const body =
    type === 'FRAMEWORK_REMOVED'
      ? { framework_info: framework.info }
      : { framework: frameworkMessage(master, framework, false) };
  master.operators.send({ type, [type.toLowerCase()]: body });
}

/** Ends a framework for good: its executors are shut down, its id is refused from now on. */
export function removeFramework(master: Master, framework: Framework): void {
  master.options.log.info('Framework removed', { framework: framework.id });
  framework.failover?.[Symbol.dispose]();
  framework.session?.stream.end();
  dropSession(master, framework);
  for (const agent of master.agents.values()) {
    const tasks = [...(agent.tasks.get(framework.id)?.values() ?? [])];
    const executors = [...(agent.executors.get(framework.id)?.values() ?? [])];
    for (const task of tasks) {
      if (!isTerminal(task.state)) {
        recover(master, framework, agent, roleOf(task.resources), bagOf(task.resources));
        task.state = 'TASK_KILLED';
        recordStatus(
          task,
          masterStatus(master, {
            task_id: task.task_id,
            state: 'TASK_KILLED',
            reason: 'REASON_FRAMEWORK_REMOVED',
            message: `Framework ${framework.id} removed`,
            agent_id: { value: agent.id },
          }),
        );
      }
      completeTask(framework, agent, task);
    }
    for (const executor of executors) {
      recover(master, framework, agent, roleOf(executor.resources), bagOf(executor.resources));
    }
    agent.executors.delete(framework.id);
    agent.kills.delete(framework.id);
    // To every agent: one may still have an executor whose tasks all ended.
    sendToAgent(agent, { type: 'SHUTDOWN_FRAMEWORK', framework_id: { value: framework.id } });
  }
  framework.unreachable.clear();
  master.frameworks.delete(framework.id);
  master.completed.set(framework.id, framework);
  const [oldest] = master.completed.keys();
  if (master.completed.size > maxCompletedFrameworks && oldest !== undefined) master.completed.delete(oldest);
  announce(master, 'FRAMEWORK_REMOVED', framework);
}
