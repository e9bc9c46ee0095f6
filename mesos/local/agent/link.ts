/** The agent's connection to the master: registers, keeps trying, and sends what the agent has to say in order. */
import { backoffMs } from '#lib/std/backoff.ts';
import { messageOf } from '#lib/std/errors.ts';
import { CallQueue, MesosHttpError, openStream, type Target } from '#mesos/http.ts';
import { chooseMaster, type MasterChoice } from '#mesos/leader.ts';
import { startWatchdog } from '#mesos/watchdog.ts';
import {
  type AgentCalls,
  type AgentMessage,
  callsPath,
  type MasterMessage,
  type Registration,
  registrationPath,
} from '../protocol.ts';
import type { Agent, Link } from './state.ts';

const maxBackoffMs = 5000;
const maxMessagesPerCall = 500;
/** Beyond this the master is too slow to be talked to: the connection is given up, and what matters is sent again. */
const maxQueued = 100_000;
const callTimeoutMs = 30_000;

export interface LinkEvents {
  /** What to register with. */
  registration(): Registration;
  received(message: MasterMessage): void;
}

interface Session {
  readonly id: string;
  readonly agentId: string;
  readonly calls: CallQueue;
  readonly end: AbortController;
}

export class MasterLink implements Link, AsyncDisposable {
  readonly #agent: Agent;
  readonly #events: LinkEvents;
  readonly #choice: MasterChoice;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #session: Session | undefined;
  #queue: AgentMessage[] = [];
  #sending = false;

  constructor(agent: Agent, events: LinkEvents) {
    this.#agent = agent;
    this.#events = events;
    this.#choice = chooseMaster([agent.options.master], {
      ...agent.options,
      scheme: agent.options.tls ? 'https' : 'http',
    });
    this.#done = this.#run();
  }

  get registered(): boolean {
    return this.#session !== undefined;
  }

  send(message: AgentMessage): void {
    if (this.#session === undefined) return;
    this.#queue.push(message);
    if (this.#queue.length > maxQueued) this.#session.end.abort(new Error(`${maxQueued} messages wait for the master`));
    void this.#flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('The agent stops'));
    await this.#done;
  }

  async #run(): Promise<void> {
    const { clock, random, log, registrationBackoffMs, master } = this.#agent.options;
    await using choice = this.#choice;
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      const moved = new AbortController();
      using _ = choice.onChange((leader) => moved.abort(new Error(`${leader} leads now`)));
      const until = AbortSignal.any([this.#stop.signal, moved.signal]);
      const before = clock.monotonic();
      try {
        await this.#connect(until);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (!this.#isRedirected(error)) choice.failed();
        log.warn('Not connected to the master', { master, reason: messageOf(error) });
      }
      this.#session = undefined;
      this.#queue = [];
      // A connection that held for a while was a good one.
      failures = clock.monotonic() - before > maxBackoffMs ? 1 : failures + 1;
      const delay = backoffMs(failures, { firstMs: registrationBackoffMs, maxMs: maxBackoffMs }, random);
      await clock.sleep(delay, until).catch(() => {});
    }
  }

  #isRedirected(error: unknown): boolean {
    if (!(error instanceof MesosHttpError) || error.status !== 307) return false;
    try {
      this.#choice.redirected(error.location);
      return true;
    } catch {
      return false; // One hop too many: masters point at each other, and the one to begin with is tried again.
    }
  }

  /** Registers and reads until the stream ends. */
  async #connect(until: AbortSignal): Promise<void> {
    const end = new AbortController();
    const signal = AbortSignal.any([until, end.signal]);
    const { clock, connect, tls, masterPingTimeoutMs } = this.#agent.options;
    const target: Target = {
      origin: await this.#choice.next(signal),
      ...(connect && { connect }),
      ...(tls && { tls }),
    };
    await using stream = await openStream(target, registrationPath, this.#events.registration(), { signal });
    this.#choice.succeeded();
    await using calls = new CallQueue(target, callsPath, { timeoutMs: callTimeoutMs });
    using watchdog = startWatchdog(clock, masterPingTimeoutMs, (silentMs) =>
      stream.destroy(new Error(`No ping from the master for ${Math.round(silentMs / 1000)} s`)),
    );
    for await (const record of stream.events) {
      const message = record as MasterMessage;
      watchdog.heard();
      if (message.type === 'REGISTERED') {
        this.#session = { id: message.session, agentId: message.agent_id.value, calls, end };
      }
      if (message.type === 'PING') this.send({ type: 'PONG' });
      else this.#events.received(message);
    }
  }

  async #flush(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      // All that one turn of the event loop has to say goes in one call.
      await this.#agent.options.turn();
      while (this.#queue.length > 0 && this.#session !== undefined) {
        await this.#call(this.#session, this.#queue.splice(0, maxMessagesPerCall));
      }
    } finally {
      this.#sending = false;
    }
  }

  /** A call that fails ends the session: the registration that follows tells the master everything again. */
  async #call(session: Session, messages: readonly AgentMessage[]): Promise<void> {
    const body: AgentCalls = { agent_id: { value: session.agentId }, session: session.id, messages };
    try {
      await session.calls.send({ type: 'CALLS', ...body });
    } catch (error) {
      if (this.#session === session) this.#session = undefined;
      session.end.abort(error);
    }
  }
}
