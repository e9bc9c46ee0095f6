/** What happens on each event of the framework's session. Everything here is quick and synchronous: the stream must not wait. */
import { keyOf } from '#lib/api/meta.ts';
import { parseTaskId } from '#lib/api/names.ts';
import type { SchedulerHandler } from '#mesos/scheduler.ts';
import type { InverseOffer, SchedulerEvent, TaskStatus } from '#mesos/types.ts';
import { isAlive } from './executor-book.ts';
import { type HeartbeatOptions, heardMessage } from './heartbeats.ts';
import type { Imports } from './imports.ts';
import { answerInverseOffers } from './inverse-offers.ts';
import type { Machines } from './machines.ts';
import type { OfferKeeper } from './offers.ts';
import type { KnownTask, Reconciliation } from './reconciliation.ts';
import { isAgentDraining, isExecutorEnded, isExecutorMissing } from './task-book.ts';
import type { World } from './world.ts';

export interface SessionOptions {
  readonly world: World;
  readonly offers: OfferKeeper;
  readonly reconciliation: Reconciliation;
  readonly machines: Machines;
  readonly imports: Imports;
  readonly heartbeats: HeartbeatOptions;
  readonly knownTasks: () => readonly KnownTask[];
  /** Ask the master for its agents. */
  readonly refreshAgents: () => void;
  readonly onHost: (hostname: string) => void;
  /** A new session, with a master of this version of Mesos if it tells. */
  readonly onSubscribed: (version: string | undefined) => void;
  /** Something changed that people read about the cluster. */
  readonly onChange: () => void;
}

export function sessionHandler(options: SessionOptions): SchedulerHandler {
  const { world, offers, reconciliation } = options;
  return {
    onEvent: (event) => onEvent(options, event),
    onDisconnected(reason) {
      world.log.warn('Session lost', { reason });
      offers.reset();
      reconciliation.stop();
      options.onChange();
    },
  };
}

function onEvent(options: SessionOptions, event: SchedulerEvent): void {
  const { world, offers, reconciliation } = options;
  switch (event.type) {
    case 'SUBSCRIBED':
      world.log.info('Subscribed', { framework: event.subscribed.framework_id.value });
      offers.reset();
      reconciliation.start(options.knownTasks());
      void reconciliation.look();
      options.refreshAgents();
      options.onSubscribed(event.subscribed.master_info?.version);
      options.onChange();
      return;
    case 'OFFERS':
      offers.offered(event.offers.offers);
      return;
    case 'RESCIND':
      offers.rescinded(event.rescind.offer_id.value);
      return;
    case 'INVERSE_OFFERS':
      onInverseOffers(options, event.inverse_offers.inverse_offers);
      return;
    case 'RESCIND_INVERSE_OFFER':
      options.refreshAgents();
      return;
    case 'UPDATE':
      onUpdate(options, event.update.status);
      return;
    case 'MESSAGE':
      heardMessage(options.heartbeats, event.message);
      return;
    case 'FAILURE':
      onFailure(options, event.failure.agent_id?.value);
      return;
    default:
      return;
  }
}

function onUpdate(options: SessionOptions, status: TaskStatus): void {
  const { world, reconciliation, machines, imports } = options;
  const taskId = status.task_id.value;
  // Nothing else tells that an agent is drained.
  if (isAgentDraining(status.reason)) options.refreshAgents();
  if (isExecutorMissing(status)) heardOfNoExecutor(world, status);
  world.tasks.hear(status, world.clock.monotonic());
  reconciliation.heard(taskId);
  if (!reconciliation.done) void reconciliation.look();
  const parsed = parseTaskId(taskId);
  if (imports.owns(taskId)) return void imports.look();
  const vm = parsed && world.machines.byUid(parsed.uid);
  const { attempt, migration } = vm?.status ?? {};
  const place = [attempt, migration].find((each) => each?.taskID === taskId);
  if (vm && place) {
    if (isExecutorEnded(status)) onExecutorEnded(options, vm.metadata.uid, place.number, status.agent_id?.value);
    machines.due(keyOf(vm));
    return;
  }
  // Of no living attempt and no import that goes on: there is nothing to store. Not acknowledging it would only bring it back.
  const acks = world.tasks.pendingAcks(taskId);
  for (const { agentId, uuid } of acks) {
    const acknowledge = { agent_id: { value: agentId }, task_id: { value: taskId }, uuid };
    void world.call({ type: 'ACKNOWLEDGE', acknowledge });
  }
  world.tasks.acknowledged(acks);
}

/** Also the answer to a KILL of a task that the agent does not know: that says nothing of an executor that is heard. */
function heardOfNoExecutor({ agents, executors, ledger, clock }: World, { agent_id, task_id }: TaskStatus): void {
  const hostname = agents.hostname(agent_id?.value ?? '') ?? '';
  const executor = ledger.executorOn(hostname);
  const fact = executors.get(hostname);
  if (fact?.executorId !== executor?.id || !isAlive(fact, clock.monotonic())) executor?.missedBy(task_id.value);
}

function onInverseOffers({ world, onHost }: SessionOptions, offers: readonly InverseOffer[]): void {
  for (const { agent_id, unavailability } of offers) {
    const hostname = world.agents.hostname(agent_id?.value ?? '');
    if (hostname !== undefined && world.windows.hear(hostname, unavailability)) onHost(hostname);
  }
  void answerInverseOffers(world, offers);
}

/**
 * Mesos tells of an executor's end once, and not where its agent was down with it, as after a power cut: then only its tasks tell. An executor
 * that was heard without this attempt is another, which came since.
 */
function onExecutorEnded(
  { world, onHost }: SessionOptions,
  uid: string,
  attempt: number | undefined,
  agentId: string | undefined,
): void {
  const hostname = world.agents.hostname(agentId ?? '') ?? '';
  const fact = world.executors.get(hostname);
  if (!fact || fact.lostMs !== undefined) return;
  if (fact.machines.get(uid)?.attempt !== attempt) return;
  world.executors.lost(hostname, world.clock.monotonic());
  onHost(hostname);
}

/** A hint only: with an executor or without, the host is to be looked at anew. */
function onFailure({ world, refreshAgents, onHost }: SessionOptions, agentId: string | undefined): void {
  const hostname = agentId === undefined ? undefined : world.agents.hostname(agentId);
  if (hostname !== undefined) {
    world.executors.lost(hostname, world.clock.monotonic());
    onHost(hostname);
  }
  refreshAgents();
}
