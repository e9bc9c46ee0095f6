/**
 * A framework's session with the leading master (v1 scheduler API). Two connections, as Mesos' own library keeps them: the event
 * stream, and one for all calls in order. Losing either is losing the session; then everything is derived anew after the next SUBSCRIBED:
 * offers are void without a RESCIND, calls may be lost. Calls made while there is no session are dropped, never queued.
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { Authentication } from './authentication.ts';
import { CallRate } from './call-rate.ts';
import { CallQueue, type Connect, type EventStream, MesosHttpError, openStream, type Target } from './http.ts';
import { chooseMaster, type MasterChoice } from './leader.ts';
import { check, read } from './schema/codec.ts';
import type { TlsFiles } from './tls.ts';
import type { FrameworkInfo, OfferConstraints, SchedulerCall, SchedulerEvent } from './types.ts';
import { startWatchdog } from './watchdog.ts';

const path = '/api/v1/scheduler';
const missedHeartbeats = 5;
const subscribeTimeoutMs = 30_000;
const retry = { firstMs: 500, maxMs: 15_000 } as const;
/** Several times what thousands of launches at once need. */
const callLimit = { perSecond: 1_000, burst: 5_000 };

type WithoutId<C> = C extends SchedulerCall ? Omit<C, 'framework_id'> : never;
/** Any call but SUBSCRIBE; the connection adds the framework's id. */
export type FrameworkCall = WithoutId<Exclude<SchedulerCall, { type: 'SUBSCRIBE' }>>;

export interface SchedulerHandler {
  /** One event at a time, in order: the next waits for the promise. SUBSCRIBED is the first of each session. An error thrown here ends `run`. */
  onEvent(event: SchedulerEvent): void | Promise<void>;
  /** The session is over. Forget every offer. */
  onDisconnected(reason: string): void;
}

export interface SchedulerOptions {
  /** URLs, or one zk://. */
  readonly masters: readonly string[];
  /** With `id`: chosen and stored before first contact. A master accepts an id that it never issued. */
  readonly framework: FrameworkInfo & { readonly id: { readonly value: string } };
  /** Keeps agents that would be declined from being offered; for masters of 1.11 and later. */
  readonly offerConstraints?: OfferConstraints;
  readonly authentication?: Authentication;
  readonly tls?: TlsFiles;
  /** Instead of the network. */
  readonly connect?: Connect;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * The master will not have this framework. FailedOver: another process subscribed with our id; step down, subscribing again would throw
 * that one out in turn. Removed: torn down or gone for longer than its failover timeout; the id is dead for ever. Refused: the
 * FrameworkInfo or the credentials are wrong. None of them is cured by trying again.
 */
export class FrameworkError extends Error {
  readonly kind: 'FailedOver' | 'Removed' | 'Refused';

  constructor(kind: 'FailedOver' | 'Removed' | 'Refused', message: string) {
    super(message);
    this.name = 'FrameworkError';
    this.kind = kind;
  }
}

class HandlerError extends Error {}

interface Session {
  readonly stream: EventStream;
  readonly calls: CallQueue;
  readonly headers: Readonly<Record<string, string>>;
  open: boolean;
}

export class SchedulerConnection {
  readonly #options: SchedulerOptions;
  readonly #choice: MasterChoice;
  #session: Session | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#choice = chooseMaster(options.masters, { ...options, scheme: options.tls ? 'https' : 'http' });
  }

  /** True from SUBSCRIBED to the loss of either connection. */
  get connected(): boolean {
    return this.#session?.open === true;
  }

  /** Origin of the master that is talked to; undefined while ZooKeeper has not named one. */
  get master(): string | undefined {
    return this.#choice.current;
  }

  /** Stays subscribed until `signal` aborts (then it returns); to be called once. Throws FrameworkError, and what the handler throws. */
  async run(handler: SchedulerHandler, signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    await using choice = this.#choice;
    for (let failures = 0; !signal.aborted; ) {
      const moved = new AbortController();
      using _ = choice.onChange((leader) => moved.abort(new Error(`${leader} leads now`)));
      const until = AbortSignal.any([signal, moved.signal]);
      let wasOpen = false;
      try {
        await this.#subscribe(until, (event) => {
          wasOpen ||= event.type === 'SUBSCRIBED';
          return deliver(handler, event);
        });
      } catch (error) {
        this.#session = undefined;
        if (error instanceof HandlerError) throw error.cause;
        if (wasOpen) handler.onDisconnected(messageOf(error));
        if (signal.aborted) return;
        if (error instanceof FrameworkError) throw error;
        if (isRedirect(error)) continue;
        failures = wasOpen ? 1 : failures + 1;
        log.warn('No session with a master', { master: this.master, reason: messageOf(error), failures });
      }
      await clock.sleep(backoffMs(failures, retry, random), until).catch(() => undefined);
    }
  }

  /**
   * Sends a call in order. True: Mesos read it, nothing more. False: there is no session, or it broke meanwhile, so that nobody knows;
   * what matters is derived anew after the next SUBSCRIBED. Throws ProtocolError before sending and MesosHttpError after it if the call
   * itself is wrong: a mistake of ours that no repetition cures.
   */
  async call(call: FrameworkCall): Promise<boolean> {
    const session = this.#session;
    if (!session?.open) return false;
    const whole = { ...call, framework_id: this.#options.framework.id };
    check('schedulerCall', whole);
    try {
      await session.calls.send(whole, session.headers);
      return true;
    } catch (error) {
      if (error instanceof MesosHttpError && !endsSession(error)) throw error;
      if (session.open) {
        session.open = false;
        session.stream.destroy(new Error(`${call.type} failed`, { cause: error }));
      }
      return false;
    }
  }

  async #subscribe(signal: AbortSignal, onEvent: (event: SchedulerEvent) => Promise<void> | undefined): Promise<never> {
    const { authentication, tls, connect } = this.#options;
    const target: Target = {
      origin: await this.#choice.next(signal),
      ...(authentication && { authentication }),
      ...(tls && { tls }),
      ...(connect && { connect }),
    };
    await using stream = await this.#open(target, signal);
    await using calls = new CallQueue(target, path, { rate: new CallRate(this.#options.clock, callLimit) });
    const headers: Record<string, string> = stream.streamId ? { 'mesos-stream-id': stream.streamId } : {};
    const session: Session = { stream, calls, headers, open: false };
    this.#session = session;
    using watchdog = startWatchdog(this.#options.clock, subscribeTimeoutMs, (silentMs) =>
      stream.destroy(new Error(`The master was silent for ${Math.round(silentMs / 1000)} s`)),
    );
    try {
      for await (const record of stream.events) {
        const event = readEvent(record, this.#options.log);
        if (event === undefined) continue;
        if (event.type === 'ERROR') throw frameworkError(event.error.message);
        if (event.type === 'SUBSCRIBED') session.open = true;
        watchdog.heard(event.type === 'SUBSCRIBED' ? allowedSilenceMs(event) : undefined);
        const working = onEvent(event);
        if (working === undefined) continue;
        using _ = watchdog.hold();
        await working;
      }
    } finally {
      session.open = false;
      this.#choice.failed();
    }
    throw new Error('The master ended the stream');
  }

  async #open(target: Target, signal: AbortSignal): Promise<EventStream> {
    const { framework, offerConstraints } = this.#options;
    const call: SchedulerCall = {
      type: 'SUBSCRIBE',
      framework_id: framework.id,
      subscribe: {
        framework_info: framework,
        ...(offerConstraints && { offer_constraints: offerConstraints }),
      },
    };
    try {
      const stream = await openStream(target, path, call, { signal });
      this.#choice.succeeded();
      return stream;
    } catch (error) {
      if (isRedirect(error)) this.#choice.redirected(error.location);
      else this.#choice.failed();
      if (error instanceof MesosHttpError && [400, 401, 403, 406, 415].includes(error.status))
        throw new FrameworkError('Refused', error.message);
      throw error;
    }
  }
}

/** An event that is unknown or not whole is passed over: it may concern one task, the end of the session would concern all. */
function readEvent(record: unknown, log: Log): SchedulerEvent | undefined {
  try {
    return read('schedulerEvent', record) as SchedulerEvent | undefined;
  } catch (error) {
    log.error('An event of the master cannot be read', { reason: messageOf(error) });
    return undefined;
  }
}

/** Undefined: the handler is done with it. A promise for each event would be most of what an event costs. */
function deliver(handler: SchedulerHandler, event: SchedulerEvent): Promise<void> | undefined {
  const failed = (cause: unknown) => {
    throw new HandlerError('The handler of an event failed', { cause });
  };
  try {
    return (handler.onEvent(event) as Promise<void> | undefined)?.catch(failed);
  } catch (cause) {
    return failed(cause);
  }
}

function allowedSilenceMs(event: Extract<SchedulerEvent, { type: 'SUBSCRIBED' }>): number {
  return missedHeartbeats * 1000 * (event.subscribed.heartbeat_interval_seconds ?? 15);
}

function isRedirect(error: unknown): error is MesosHttpError {
  return error instanceof MesosHttpError && error.status === 307;
}

/** The words are Mesos' own (src/master/master.cpp); there is no code beside them. */
function frameworkError(message: string): FrameworkError {
  if (/failed over/i.test(message)) return new FrameworkError('FailedOver', message);
  if (/has been removed/i.test(message)) return new FrameworkError('Removed', message);
  return new FrameworkError('Refused', message);
}

/** Answers that say "you have no session here", as against "this call is wrong". */
function endsSession({ status, body }: MesosHttpError): boolean {
  if (status === 403 || status === 307 || status >= 500) return status !== 501;
  return status === 400 && /Framework cannot be found|stream ID|Mesos-Stream-Id/i.test(body);
}
