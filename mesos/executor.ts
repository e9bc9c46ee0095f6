/**
 * The executor's side of a Mesos agent's v1 executor API. It stays subscribed, and comes back about once a second after any break: a
 * restarted agent gives an executor 2 s to return (--executor_reregistration_timeout) and kills it afterwards, so no backoff grows
 * here.
 */
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { bearer } from './authentication.ts';
import type { ExecutorEnvironment } from './executor-environment.ts';
import { CallQueue, type Connect, type EventStream, openStream, type Target } from './http.ts';
import type { ExecutorCall, ExecutorEvent, TaskInfo, TaskStatus } from './types.ts';

const path = '/api/v1/executor';
const retryMs = 900;
/** The agent kills an executor that has not subscribed by then (--executor_registration_timeout). */
const registrationMs = 60_000;

/** What the agent may not have yet; stored by the caller before it acts, and read anew for every subscription. */
export interface Unacknowledged {
  /** Launched tasks of which no update was acknowledged. One that is missing here is declared TASK_DROPPED. */
  readonly tasks: readonly TaskInfo[];
  /** Updates that were not acknowledged, oldest first. */
  readonly updates: readonly TaskStatus[];
}

export interface ExecutorHandler {
  unacknowledged(): Unacknowledged | Promise<Unacknowledged>;
  /** One event at a time, in order: the next waits for the promise. An error thrown here ends `run`. */
  onEvent(event: ExecutorEvent): void | Promise<void>;
}

export interface ExecutorOptions {
  readonly environment: ExecutorEnvironment;
  /** Instead of the network. */
  readonly connect?: Connect;
  readonly clock: Clock;
  readonly log: Log;
}

/** The agent was away for longer than it promised to wait for us (MESOS_RECOVERY_TIMEOUT). */
export class RecoveryTimeoutError extends Error {}

/** What a handler threw, so that it is not taken for a fault of the connection. */
class HandlerError extends Error {}

interface Subscription {
  readonly stream: EventStream;
  readonly calls: CallQueue;
  /** SUBSCRIBED arrived and no call has failed since. */
  open: boolean;
  /** SUBSCRIBED arrived. */
  wasOpen: boolean;
}

export class ExecutorConnection {
  readonly #environment: ExecutorEnvironment;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #target: Target;
  #subscription: Subscription | undefined;
  #lastConnected = 0;
  #everConnected = false;

  constructor(options: ExecutorOptions) {
    this.#environment = options.environment;
    this.#clock = options.clock;
    this.#log = options.log;
    const { origin, socketPath, token, tls } = options.environment;
    this.#target = {
      origin,
      ...(socketPath === undefined ? {} : { socketPath }),
      ...(token === undefined ? {} : { authentication: bearer(() => token) }),
      ...(tls === undefined ? {} : { tls }),
      ...(options.connect ? { connect: options.connect } : {}),
    };
  }

  /** True while calls can be sent. */
  get connected(): boolean {
    return this.#subscription?.open === true;
  }

  /**
   * Stays subscribed until `signal` aborts (then it returns) or the agent stays away for longer than the recovery timeout (then it
   * throws RecoveryTimeoutError; without checkpointing already after the first break, as the agent has then killed us in its mind).
   */
  async run(handler: ExecutorHandler, signal: AbortSignal): Promise<void> {
    this.#lastConnected = this.#clock.monotonic();
    while (!signal.aborted) {
      try {
        await this.#session(handler, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof HandlerError) throw error.cause;
        this.#log.warn('Not connected to the agent', { reason: messageOf(error) });
      }
      this.#disconnected();
      await this.#clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }

  #disconnected(): void {
    const now = this.#clock.monotonic();
    if (this.#subscription?.wasOpen) this.#lastConnected = now;
    this.#subscription = undefined;
    const patienceMs = this.#everConnected ? this.#environment.recoveryTimeoutMs : registrationMs;
    const awayMs = now - this.#lastConnected;
    if (awayMs >= patienceMs)
      throw new RecoveryTimeoutError(`The agent has been away for ${Math.round(awayMs / 1000)} s`);
  }

  /**
   * Sends a status update. `status.uuid` must be set (16 bytes of a version 4 UUID in base64) and the update must already be in what
   * `unacknowledged` gives: if it cannot be sent now, it goes with the next SUBSCRIBE. False then.
   */
  async update(status: TaskStatus): Promise<boolean> {
    return await this.#send({ ...this.#ids, type: 'UPDATE', update: { status } });
  }

  /** Sends a framework message (base64). Best effort by nature: false if it was certainly not delivered; true promises nothing. */
  async message(data: string): Promise<boolean> {
    return await this.#send({ ...this.#ids, type: 'MESSAGE', message: { data } });
  }

  get #ids() {
    const { frameworkId, executorId } = this.#environment;
    return { framework_id: { value: frameworkId }, executor_id: { value: executorId } } as const;
  }

  async #session(handler: ExecutorHandler, signal: AbortSignal): Promise<void> {
    const { tasks, updates } = await handler.unacknowledged();
    const call: ExecutorCall = {
      ...this.#ids,
      type: 'SUBSCRIBE',
      subscribe: { unacknowledged_tasks: tasks, unacknowledged_updates: updates.map((status) => ({ status })) },
    };
    await using stream = await openStream(this.#target, path, call, { signal });
    await using calls = new CallQueue(this.#target, path);
    const subscription: Subscription = { stream, calls, open: false, wasOpen: false };
    this.#subscription = subscription;
    const sent = new Set(updates.map((status) => status.uuid));
    for await (const record of stream.events) {
      const event = record as ExecutorEvent;
      if (event.type === 'SUBSCRIBED') {
        subscription.open = true;
        subscription.wasOpen = true;
        this.#everConnected = true;
        await this.#sendLate(handler, sent);
      }
      await deliver(handler, event);
    }
    throw new Error('The agent ended the stream');
  }

  /** Updates made while the SUBSCRIBE was under way are in no list the agent has seen. */
  async #sendLate(handler: ExecutorHandler, sent: ReadonlySet<string | undefined>): Promise<void> {
    for (const status of (await handler.unacknowledged()).updates) {
      if (!sent.has(status.uuid)) await this.update(status);
    }
  }

  async #send(call: ExecutorCall): Promise<boolean> {
    const subscription = this.#subscription;
    if (!subscription?.open) return false;
    try {
      await subscription.calls.send(call);
      return true;
    } catch (error) {
      this.#log.warn('A call to the agent failed', { call: call.type, reason: messageOf(error) });
      // The agent keeps order per connection only. Losing this one is losing the session: SUBSCRIBE says everything anew.
      subscription.open = false;
      subscription.stream.destroy(new Error(`${call.type} failed`, { cause: error }));
      return false;
    }
  }
}

async function deliver(handler: ExecutorHandler, event: ExecutorEvent): Promise<void> {
  try {
    await handler.onEvent(event);
  } catch (cause) {
    throw new HandlerError('The handler of an event failed', { cause });
  }
}
