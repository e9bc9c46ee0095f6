/** Sends LAUNCH for tasks whose intents are stored, with all offers held of one host in one ACCEPT. */
import type { Offer } from '#mesos/types.ts';
import { taskInfos, type Work, withoutShare } from './tasks.ts';
import type { World } from './world.ts';

/** Sent: Mesos has it, or may have it. NotSent: certainly nothing left us. */
export type Sent = 'Sent' | 'NotSent';

/** Offered again at the next allocation: what is left of a host is wanted by the next machine. */
const refuseSeconds = 0;

export async function launchOn(world: World, hostname: string, works: readonly Work[]): Promise<Sent> {
  const offers = world.ledger.takeOffers(hostname);
  if (offers.length === 0) return 'NotSent';
  const resources = offers.flatMap((offer) => offer.resources ?? []);
  const known = world.ledger.executorOn(hostname);
  const executor = known ? { ...world.executor, executor_id: { value: known.id } } : world.executor;
  const available = known?.isKnown ? resources : withoutShare(resources, executor);
  const tasks = available && taskInfos(works, offers[0]!.agent_id.value, executor, available);
  const offer_ids = offers.map(({ id }) => id);
  const filters = { refuse_seconds: refuseSeconds };
  if (tasks === undefined || tasks.length === 0) {
    await world.call({ type: 'DECLINE', decline: { offer_ids, filters } });
    return 'NotSent';
  }
  const taskIds = tasks.map(({ task_id }) => task_id.value);
  known?.sent(taskIds);
  const operations = [{ type: 'LAUNCH', launch: { task_infos: tasks } }] as const;
  // False means that nobody knows: reconciliation will tell. It must not count as not sent.
  await world.call({ type: 'ACCEPT', accept: { offer_ids, operations, filters } });
  world.log.info('Launched', { host: hostname, tasks: taskIds });
  return 'Sent';
}

export async function decline(world: World, offers: readonly Offer[], refuse: number): Promise<void> {
  if (offers.length === 0) return;
  await world.call({
    type: 'DECLINE',
    decline: { offer_ids: offers.map(({ id }) => id), filters: { refuse_seconds: refuse } },
  });
}
