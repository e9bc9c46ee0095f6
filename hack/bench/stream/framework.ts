/** A framework that only listens: each update is acknowledged as soon as it is heard, and no more is read while too many answers are out. */
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { Connect } from '#mesos/http.ts';
import { SchedulerConnection } from '#mesos/scheduler.ts';
import type { SchedulerEvent, TaskStatus } from '#mesos/types.ts';
import { offers, updates } from './events.ts';

const maxUnanswered = 1_000;
const info = { user: 'root', name: 'bench', id: { value: 'cf-0b6f2f6e-3c1e-4a5b-9f42-6c0f5d8e7a11' } };

/** Follows the storm to its end. Resolves when every update is acknowledged once and every offer heard. */
export async function weatherTheStorm(master: string, connect?: Connect): Promise<void> {
  const common = { clock: systemClock, random: systemRandom, log: silentLog };
  const framework = { ...info, roles: ['computefactory'], capabilities: [{ type: 'MULTI_ROLE' as const }] };
  const connection = new SchedulerConnection({ ...common, masters: [master], framework, ...(connect && { connect }) });
  const over = new AbortController();
  let acknowledged = 0;
  let unanswered = 0;
  let heardOffers = 0;
  let room = Promise.withResolvers<void>();

  async function acknowledge({ agent_id, task_id, uuid }: TaskStatus): Promise<void> {
    unanswered += 1;
    const sent = await connection.call({
      type: 'ACKNOWLEDGE',
      acknowledge: { agent_id: agent_id!, task_id, uuid: uuid! },
    });
    if (!sent) over.abort(new Error('The session was lost'));
    acknowledged += 1;
    unanswered -= 1;
    if (unanswered <= maxUnanswered / 2) room.resolve();
    if (acknowledged === updates && heardOffers === offers) over.abort();
  }

  function onEvent(event: SchedulerEvent): Promise<void> | undefined {
    if (event.type === 'OFFERS') heardOffers += event.offers.offers.length;
    if (event.type !== 'UPDATE') return undefined;
    void acknowledge(event.update.status);
    if (unanswered < maxUnanswered) return undefined;
    room = Promise.withResolvers<void>();
    return room.promise;
  }

  await connection.run({ onEvent, onDisconnected: () => undefined }, over.signal);
  if (acknowledged !== updates || heardOffers !== offers)
    throw new Error(`${acknowledged} updates were acknowledged and ${heardOffers} offers heard`);
}
