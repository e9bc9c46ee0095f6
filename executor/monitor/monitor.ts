/**
 * Watches a host and moves its reservations: a look at the host every few seconds, a look at Mesos only where there may be something
 * to do, since the answer is about all agents. Before each act Mesos is read anew, what the act means is stored, and one call is sent; whatever
 * becomes of it, the next look begins from what is.
 */
import { isDeepStrictEqual } from 'node:util';
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { MesosHttpError } from '#mesos/http.ts';
import type { OperatorClient } from '#mesos/operator.ts';
import type { Amounts } from './amounts.ts';
import { type Books, booksOf, callOf, type Identity } from './books.ts';
import { type Act, type Decision, decide, type Memory, memoryFor, release } from './decide.ts';
import { type Counters, needBetween, type ReadHost } from './host.ts';
import { type Levels, levelsAfter } from './levels.ts';
import type { MemoryStore } from './memory-file.ts';
import type { Policy } from './policy.ts';

const retry = { firstMs: 5_000, maxMs: 300_000 } as const;
/** The first Mesos in which reservations can be moved in one call. */
const oldestMesos = [1, 10] as const;

export interface MonitorOptions {
  readonly operator: Pick<OperatorClient, 'agents' | 'call'>;
  readonly readHost: ReadHost;
  readonly store: MemoryStore;
  /** As the agent of this host has registered. */
  readonly hostname: string;
  readonly identity: Identity;
  /** The executor's own resources, as the Cluster has them. */
  readonly share: Amounts;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told of every look, for those who print or count. */
  readonly onLook?: (look: Look) => void;
}

export interface Look {
  readonly counters: Counters;
  readonly levels: Levels;
  readonly books: Books;
  readonly decision: Decision;
}

/** Until the signal. Throws if Mesos is too old. */
export async function runMonitor(options: MonitorOptions, signal: AbortSignal): Promise<void> {
  const monitor = new Monitor(options);
  while (!signal.aborted) {
    await monitor.look();
    await options.clock.sleep(options.policy.sampleMs, signal).catch(() => undefined);
  }
}

export class Monitor {
  readonly #options: MonitorOptions;
  #counters: Counters | undefined;
  #levels: Levels | undefined;
  #books: Books | undefined;
  #memory: Memory | undefined;
  /** Monotonic: when Mesos was read, and before when it is left alone. */
  #booksMs = 0;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #isVersionKnown = false;
  #saidWhy = '';

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#memory = options.store.read();
  }

  /** One look at the host, and one act at most. */
  async look(): Promise<void> {
    await this.#measure();
    const { clock } = this.#options;
    if (this.#levels === undefined || clock.monotonic() < this.#quietUntilMs) return;
    try {
      await this.#goOn();
      this.#failures = 0;
    } catch (error) {
      if (error instanceof TooOldError) throw error;
      this.#quietUntilMs = clock.monotonic() + backoffMs(++this.#failures, retry, this.#options.random);
      this.#books = undefined;
      this.#options.log.warn('Mesos was not asked, or did not', { reason: messageOf(error), failures: this.#failures });
    }
  }

  /** What would be done, after looks for a minute. Does nothing. */
  async check(signal: AbortSignal): Promise<Look> {
    const { clock, policy } = this.#options;
    const endMs = clock.monotonic() + policy.changeMs;
    // Of processors two looks tell something.
    for (let looks = 0; looks < 2 || clock.monotonic() < endMs; looks++) {
      if (looks > 0) await clock.sleep(policy.sampleMs, signal);
      await this.#measure();
    }
    await this.#requireVersion();
    const books = await this.#read();
    if (!this.#levels) throw new Error('The host was not measured: the reason is in the log');
    return { counters: this.#counters!, levels: this.#levels, books, decision: this.#decide(books) };
  }

  /** Gives back what can be given back: false if there is nothing left to give. */
  async release(): Promise<boolean> {
    const { identity, log, operator, store } = this.#options;
    const books = await this.#read();
    if (this.#memory?.closed && books.isClosed && books.drain !== 'DRAINING') {
      await operator.call(callOf({ kind: 'Reopen' }, books.agentId, identity));
      log.info('Mesos was told', { act: { kind: 'Reopen' } });
    }
    const act = release(books);
    if (act) {
      await operator.call(callOf(act, books.agentId, identity));
      log.info('Mesos was told', { act });
    } else store.write({ agentId: books.agentId });
    return act !== undefined;
  }

  async #measure(): Promise<void> {
    const { clock, log, policy, readHost } = this.#options;
    try {
      const counters = await readHost();
      const need = needBetween(this.#counters, counters);
      this.#levels = levelsAfter(this.#levels, need, clock.monotonic(), policy);
      this.#counters = counters;
    } catch (error) {
      // Nothing is given on old figures: watching begins anew.
      this.#levels = undefined;
      log.error('The host was not measured', { reason: messageOf(error) });
    }
  }

  async #goOn(): Promise<void> {
    await this.#requireVersion();
    const { clock, policy } = this.#options;
    const ageMs = clock.monotonic() - this.#booksMs;
    const isStale = this.#books === undefined || ageMs >= policy.lookMs;
    // What machines hold of what services need is freed when one of them ends.
    const isAwaited = this.#memory?.shortSinceMs !== undefined && ageMs >= policy.changeMs;
    if (!isStale && !isAwaited) {
      const { act, memory } = this.#decide(this.#books!);
      if (act === undefined) return this.#remember(memory);
    }
    const books = await this.#read();
    const decision = this.#decide(books);
    this.#say(decision);
    if (decision.act) await this.#do(decision.act, decision, books);
    else this.#remember(decision.memory);
  }

  #decide(books: Books): Decision {
    const { share, policy, clock, onLook } = this.#options;
    const [levels, counters] = [this.#levels!, this.#counters!];
    const memory = this.#memory ?? { agentId: books.agentId };
    const decision = decide({ levels, capacity: counters.capacity, books, share, memory, policy, nowMs: clock.now() });
    onLook?.({ counters, levels, books, decision });
    return decision;
  }

  /** Throws Error if the master has no such agent. */
  async #read(): Promise<Books> {
    const { clock, hostname, identity, operator } = this.#options;
    const { agents = [] } = await operator.agents();
    const agent = agents.find(
      ({ agent_info, active, deactivated }) =>
        // One that is away cannot be told anything.
        agent_info.hostname.toLowerCase() === hostname.toLowerCase() && (active !== false || deactivated === true),
    );
    if (!agent)
      throw new Error(
        `The masters have no connected agent called ${hostname}: see whether mesos-agent runs here, or name it by --hostname`,
      );
    this.#booksMs = clock.monotonic();
    this.#books = booksOf(agent, identity);
    return this.#books;
  }

  async #do(act: Act, { memory, why }: Decision, books: Books): Promise<void> {
    const { clock, identity, log, operator } = this.#options;
    this.#remember(memoryFor(act, memory, clock.now()));
    // Whatever comes of it, it is read anew.
    this.#books = undefined;
    try {
      await operator.call(callOf(act, books.agentId, identity));
    } catch (error) {
      // Refused: certainly nothing was done.
      if (error instanceof MesosHttpError) this.#remember({ ...memory, changedMs: clock.now() });
      throw new Error(`Mesos did not carry out ${act.kind} on agent ${books.agentId}`, { cause: error });
    }
    log.info('Mesos was told', { act, why });
  }

  #remember(memory: Memory): void {
    if (isDeepStrictEqual(memory, this.#memory)) return;
    this.#options.store.write(memory);
    this.#memory = memory;
  }

  /** Each news once. */
  #say({ why, desired, room, act }: Decision): void {
    if (act || why.replaceAll(/[\d.]+/g, '') === this.#saidWhy) return;
    this.#saidWhy = why.replaceAll(/[\d.]+/g, '');
    this.#options.log.info('Nothing is changed', { why, desired, room });
  }

  async #requireVersion(): Promise<void> {
    if (this.#isVersionKnown) return;
    const answer = (await this.#options.operator.call({ type: 'GET_VERSION' })) as {
      readonly get_version: { readonly version_info: { readonly version: string } };
    };
    const { version } = answer.get_version.version_info;
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major < oldestMesos[0] || (major === oldestMesos[0] && minor < oldestMesos[1]))
      throw new TooOldError(
        `The masters are Mesos ${version}: reservations are moved in one call from ${oldestMesos.join('.')} on. Upgrade the masters, or run no monitor`,
      );
    this.#isVersionKnown = true;
  }
}

class TooOldError extends Error {}
