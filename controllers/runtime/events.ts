/**
 * Writes core/v1 Events. Recording returns at once: a bounded queue is worked off in the background, what does not fit or cannot be
 * written is dropped and counted, and no reconcile ever waits for or fails by an event. The limits are client-go's.
 *
 * The same reason and message again raise `count` of one Event; many different messages of one reason become one "combined" Event; an
 * object that still floods is cut off for a while. How long Events live is the store's affair.
 */
import { createHash } from 'node:crypto';
import { type Event, Event as EventKind } from '#lib/api/core.ts';
import type { Draft, KubeObject } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { type Clock, timestamp } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { Events } from './deps.ts';
import { type Counted, EventLimits } from './event-limits.ts';

const queueLimit = 1_000;
const tries = 4;
const callTimeoutMs = 10_000;
/** metadata.name has room for 253; message is cut as Kubernetes' own validation wants it. */
const messageLimit = 1_024;

export interface RecorderDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Shown as the event's source, for example factory-controllers. */
  readonly component: string;
  readonly instance: string;
}

export interface Recorder extends Events {
  /** Events that were not written. */
  readonly dropped: number;
  /** Writes until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

type Type = 'Normal' | 'Warning';

export function eventRecorder(deps: RecorderDeps): Recorder {
  const limits = new EventLimits(deps.clock);
  const queue: Draft<Event>[] = [];
  let dropped = 0;
  let wake = Promise.withResolvers<void>();

  function record(type: Type, about: KubeObject, reason: string, message: string): void {
    const counted = limits.admit(about.metadata.uid, type, reason, message.slice(0, messageLimit));
    if (!counted || queue.length >= queueLimit) {
      dropped += 1;
      return;
    }
    queue.push(eventOf(deps, type, about, reason, counted));
    wake.resolve();
  }

  return {
    normal: (about, reason, message) => record('Normal', about, reason, message),
    warning: (about, reason, message) => record('Warning', about, reason, message),
    get dropped() {
      return dropped;
    },
    async run(signal) {
      signal.addEventListener('abort', () => wake.resolve(), { once: true });
      while (!signal.aborted) {
        const event = queue.shift();
        if (event && !(await written(deps, event, signal))) dropped += 1;
        if (event) continue;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
  };
}

/** What is counted together has one name, so that a lost answer makes no second Event. */
function eventOf(deps: RecorderDeps, type: Type, about: KubeObject, reason: string, counted: Counted): Draft<Event> {
  const { apiVersion, kind, metadata } = about;
  const { name, uid, namespace = 'default' } = metadata;
  const { id, message, count, firstMs } = counted;
  const hash = createHash('sha256').update(`${deps.instance} ${id}`).digest('hex').slice(0, 16);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name.slice(0, 230)}.${hash}`, namespace },
    involvedObject: { apiVersion, kind, name, uid, ...(metadata.namespace && { namespace: metadata.namespace }) },
    type,
    reason,
    message,
    count,
    firstTimestamp: timestamp(firstMs),
    lastTimestamp: timestamp(deps.clock.now()),
    source: { component: deps.component },
    reportingComponent: deps.component,
    reportingInstance: deps.instance,
  };
}

/** False if it had to be given up. */
async function written(deps: RecorderDeps, event: Draft<Event>, stop: AbortSignal): Promise<boolean> {
  for (let failures = 1; ; failures++) {
    try {
      using late = deadline(deps.clock, callTimeoutMs, 'Writing an event', stop);
      await put(deps.client, event, late.signal);
      return true;
    } catch (error) {
      // A namespace that is going away takes no more events, and a refusal stays one.
      const final = isCode(error, 'NotFound', 'Forbidden', 'Invalid', 'BadRequest');
      if (stop.aborted || final || failures >= tries) {
        deps.log.debug('Event dropped', { event: event.metadata.name, error: messageOf(error) });
        return false;
      }
      const delayMs = backoffMs(failures, { firstMs: 500, maxMs: 10_000 }, deps.random);
      await deps.clock.sleep(delayMs, stop).catch(() => undefined);
    }
  }
}

async function put(client: Client, event: Draft<Event>, signal: AbortSignal): Promise<void> {
  const { name, namespace } = event.metadata;
  const create = () => client.create(EventKind, event, { signal });
  if ((event.count ?? 1) === 1) {
    await create().catch((error: unknown) => {
      if (!isCode(error, 'AlreadyExists')) throw error;
    });
    return;
  }
  const { count, message, lastTimestamp } = event;
  const patch = { count, message, lastTimestamp };
  await client.patch(EventKind, { name: name!, namespace }, patch, { signal }).catch((error: unknown) => {
    // It was dropped, or lived out its time.
    if (isCode(error, 'NotFound')) return create();
    throw error;
  });
}
