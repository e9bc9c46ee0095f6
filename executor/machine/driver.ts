/**
 * One owner per machine: orders, hints and the results of its own doing go through one queue, and one loop decides and does. It looks
 * at the domain before every decision, journals before it acts, and sleeps until a deadline or a hint.
 */
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { type Domain, MachineError } from '../hypervisor.ts';
import { AddressConflictError } from '../network/probe.ts';
import { type Effect, type HostEffect, type MachineEvent, type MachineState, wakeAt } from './state.ts';
import { transition } from './transitions.ts';

/** Why a step is taken. */
export interface Cause {
  readonly event: MachineEvent;
  /** The step that this driver did last, if it has not slept since. */
  readonly before: HostEffect | undefined;
}

export interface MachineDeps {
  look(uid: string): Promise<Domain | undefined>;
  /** Its time is over: it lost the cluster server for longer than it may. */
  isFenced?(): boolean;
  /** What it gives is for who asked for the step. */
  perform(state: MachineState, effect: HostEffect, cause: Cause): Promise<string | undefined>;
  /** Stores the state and what is to be reported, in one transaction; must have happened when it returns. */
  commit(state: MachineState, reports: readonly Exclude<Effect, { type: 'host' }>[]): void;
  readonly clock: Clock;
  readonly log: Log;
}

/** A host that does not answer is asked again after this. */
const lookAgainMs = 2000;
/**
 * No single step may take longer: a command that hangs is a failure, and the next look shows what came of it. But for taking a guest over: while
 * that may still happen nobody can say that it did not.
 */
const stepMs = 300_000;

const maxQueued = 64;

type Seen = Domain['power'] | 'Absent' | 'Left' | 'Receiving' | 'Sent';

type Pushed = Exclude<MachineEvent, { readonly type: 'looked' | 'done' | 'failed' }>;

function seenOf(domain: Domain | undefined): Seen {
  if (!domain) return 'Absent';
  if (domain.receiving) return 'Receiving';
  if (domain.sent) return 'Sent';
  return domain.left ? 'Left' : domain.power;
}

export class MachineDriver implements AsyncDisposable {
  readonly #deps: MachineDeps;
  readonly #queue: MachineEvent[] = [];
  /** Of events that somebody waits for. */
  readonly #asked = new Map<MachineEvent, PromiseWithResolvers<string>>();
  readonly #onChange = new Set<() => void>();
  readonly #leaving = Promise.withResolvers<undefined>();
  #taking: Promise<unknown> = Promise.resolve();
  /** Settles when the machine is gone or the driver was disposed of; rejects if a step could not be stored. */
  readonly finished: Promise<void>;
  #state: MachineState;
  #seen: Seen | undefined;
  #before: HostEffect | undefined;
  #hinted = true;
  #closed = false;
  #wake: () => void = () => undefined;

  /** Begins once `after` has settled: the machine's previous owner must have let go of it. */
  constructor(state: MachineState, deps: MachineDeps, after: Promise<void> = Promise.resolve()) {
    this.#state = state;
    this.#deps = deps;
    this.finished = after.then(async () => await this.#run()).finally(() => this.#leave());
  }

  get state(): MachineState {
    return this.#state;
  }

  /** True if it is not as the last look showed it. */
  differs(domain: Domain | undefined): boolean {
    return this.#seen !== seenOf(domain);
  }

  /** False if the queue is full: whoever orders repeats it. A kill always finds a place, once. */
  push(event: Pushed): boolean {
    const isKill = event.type === 'kill';
    if (isKill ? this.#queue.some(({ type }) => type === 'kill') : this.#queue.length >= maxQueued) return isKill;
    this.#queue.push(event);
    this.#wake();
    return true;
  }

  /**
   * Pushes it, and waits until what it asks for is done. Gives what that brought; rejects if it failed, and with MachineError if it is not to be
   * done as the machine is, or if the driver was disposed of before.
   */
  async ask(event: Pushed): Promise<string> {
    const { uid } = this.#state.launch;
    if (this.#closed || this.#state.phase.name === 'Gone') throw new MachineError(`Machine ${uid} is gone`);
    const answer = Promise.withResolvers<string>();
    this.#asked.set(event, answer);
    if (!this.push(event)) {
      this.#asked.delete(event);
      throw new MachineError(`Machine ${uid} has too much to do: try again`);
    }
    return await answer.promise;
  }

  /** Resolves when the machine has come so far, or is driven no more; rejects with the signal's reason. */
  async reaches(is: (state: MachineState) => boolean, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => {
      if (this.#closed || is(this.#state)) resolve();
    };
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#onChange.add(look);
    try {
      signal.throwIfAborted();
      look();
      await promise;
    } finally {
      this.#onChange.delete(look);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Something may have changed: look. */
  hint(): void {
    this.#hinted = true;
    this.#wake();
  }

  /** Stops driving after the step under way. The machine stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#leaving.resolve(undefined);
    this.#wake();
    await this.finished;
  }

  /** Disposes of it for another one in this worker: nothing is done to the machine any more when this has resolved. */
  async release(): Promise<void> {
    await this[Symbol.asyncDispose]();
    await this.#taking;
  }

  async #run(): Promise<void> {
    while (!this.#closed && this.#state.phase.name !== 'Gone') {
      const event = this.#queue.shift() ?? (await this.#look());
      if (!event) continue;
      const { changed, host, now, refusal } = this.#decide(event);
      if (refusal !== undefined) this.#asked.get(event)?.reject(new MachineError(refusal));
      else if (!host) this.#asked.get(event)?.resolve('');
      if (!host) this.#asked.delete(event);
      if (host) {
        const result = await this.#resultOf(host, event);
        if (result) this.#decide(result);
      } else if (!changed && event.type === 'looked') await this.#sleep(this.#untilDeadline(now));
    }
  }

  #leave(): void {
    this.#closed = true;
    const over = new MachineError(`Machine ${this.#state.launch.uid} is driven no more`);
    for (const { reject } of this.#asked.values()) reject(over);
    this.#asked.clear();
    for (const look of this.#onChange) look();
  }

  async #look(): Promise<MachineEvent | undefined> {
    this.#hinted = false;
    try {
      const domain = await this.#deps.look(this.#state.launch.uid);
      this.#seen = seenOf(domain);
      return { type: 'looked', domain, ...(this.#deps.isFenced?.() && { fenced: true as const }) };
    } catch (error) {
      this.#deps.log.warn('Cannot look at the domain', { reason: messageOf(error) });
      await this.#sleep(lookAgainMs);
      return undefined;
    }
  }

  #decide(event: MachineEvent): {
    changed: boolean;
    host: HostEffect | undefined;
    now: number;
    refusal: string | undefined;
  } {
    const before = this.#state;
    const now = this.#deps.clock.now();
    const { state, effects, refusal } = transition(before, event, now);
    const reports = effects.filter((effect) => effect.type !== 'host');
    const changed = JSON.stringify(before) !== JSON.stringify(state);
    if (changed || reports.length > 0) this.#deps.commit(state, reports);
    this.#state = state;
    if (before.phase.name !== state.phase.name)
      this.#deps.log.info('Machine changed phase', {
        from: before.phase.name,
        to: state.phase.name,
        why: state.message,
      });
    if (changed) for (const look of [...this.#onChange]) look();
    return { changed, host: effects.find((effect) => effect.type === 'host')?.effect, now, refusal };
  }

  /** Undefined if the driver was disposed of while a guest was being taken over: the next one looks, and this one must not say what it does not know. */
  async #resultOf(effect: HostEffect, event: MachineEvent): Promise<MachineEvent | undefined> {
    const result = this.#perform(effect, event);
    if (effect !== 'take') return await result;
    this.#taking = result;
    return await Promise.race([result, this.#leaving.promise]);
  }

  async #perform(effect: HostEffect, event: MachineEvent): Promise<MachineEvent> {
    const before = this.#before;
    this.#before = undefined;
    const asked = this.#asked.get(event);
    this.#asked.delete(event);
    try {
      const work = this.#deps.perform(this.#state, effect, { event, before });
      const answer = await (effect === 'take' ? work : this.#inTime(work, effect));
      this.#before = effect;
      asked?.resolve(answer ?? '');
      return { type: 'done', effect };
    } catch (error) {
      asked?.reject(error);
      this.#deps.log.warn('A step on the host failed', { effect, error });
      const conflict = error instanceof AddressConflictError ? { conflict: error.conflict } : {};
      return { type: 'failed', effect, message: messageOf(error), ...conflict };
    }
  }

  async #inTime<T>(work: Promise<T>, effect: HostEffect): Promise<T> {
    const late = Promise.withResolvers<never>();
    using _ = this.#deps.clock.timeout(
      () =>
        late.reject(new Error(`${effect} of machine ${this.#state.launch.uid} took longer than ${stepMs / 1000} s`)),
      stepMs,
    );
    return await Promise.race([work, late.promise]);
  }

  /** Counted from when it was decided to wait: a deadline that has passed since then is due, not over. */
  #untilDeadline(decidedAt: number): number | undefined {
    const at = wakeAt(this.#state, decidedAt);
    return at === undefined ? undefined : Math.max(1, at - this.#deps.clock.now());
  }

  /** Until something is heard, at most `delayMs`. */
  async #sleep(delayMs: number | undefined): Promise<void> {
    this.#before = undefined;
    if (this.#closed || this.#hinted || this.#queue.length > 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    using _ = delayMs === undefined ? undefined : this.#deps.clock.timeout(resolve, delayMs);
    await promise;
    this.#wake = () => undefined;
  }
}
