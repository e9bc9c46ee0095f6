/**
 * The source's side of live migrations: sends each guest that its machine's state says is to leave, which may take an hour, beside the driver,
 * and tells the driver what has come of it. It decides nothing. What is to be done is always in the state: a worker that was killed is gone on
 * from there.
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { MachineError, type Moves } from '../hypervisor.ts';
import type { MachineState, Migrating, MigrationEvent } from '../machine/state.ts';
import type { Machines } from '../machines.ts';
import type { MigrationPeer, MigrationPeers } from './peers.ts';

const again = { firstMs: 1_000, maxMs: 30_000 };
/** To tell the destination that nothing comes. Its own deadline does it else. */
const tellMs = 10_000;

export interface DeparturesDeps {
  readonly moves: Pick<Moves, 'begin' | 'send'>;
  readonly peers: MigrationPeers;
  machines(): Pick<Machines, 'ask' | 'tell' | 'stateOf'>;
  /** Its disk is being copied, for a snapshot. */
  usesDisk(uid: string): boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface Departure {
  readonly id: string;
  readonly abort: AbortController;
  readonly finished: Promise<void>;
  progress?: { readonly transferred: number; readonly total: number };
}

type Job = Pick<Departure, 'id'> & { readonly uid: string; readonly signal: AbortSignal };

export class Departures implements AsyncDisposable {
  readonly #deps: DeparturesDeps;
  readonly #departures = new Map<string, Departure>();
  readonly #telling = new Set<Promise<void>>();
  readonly #over = new AbortController();

  constructor(deps: DeparturesDeps) {
    this.#deps = deps;
  }

  /** What is not decided stays so: the next worker goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Error('The executor of the host ends'));
    for (const { abort } of this.#departures.values()) abort.abort(this.#over.signal.reason);
    await Promise.all([...this.#departures.values()].map(async ({ finished }) => await finished));
    await Promise.all(this.#telling);
  }

  /** To be called with every state of a machine once it is stored. */
  follow({ launch, phase }: Pick<MachineState, 'launch' | 'phase'>): void {
    const { uid } = launch;
    const known = this.#departures.get(uid);
    const id = phase.name === 'Migrating' && !phase.ending ? phase.id : undefined;
    if (known && known.id !== id) known.abort.abort(new Error('It is not to be sent any more'));
    if (id === undefined || known || this.#over.signal.aborted) return;
    const abort = new AbortController();
    const finished = Promise.resolve()
      .then(async () => await this.#run({ uid, id, signal: abort.signal }))
      .catch((error: unknown) => {
        if (!abort.signal.aborted) this.#deps.log.error('Sending a machine failed', { uid, id, error });
      })
      .finally(() => this.#leave(uid, id));
    this.#departures.set(uid, { id, abort, finished });
  }

  /** What was to be sent meanwhile had to wait for the end of this. */
  #leave(uid: string, id: string): void {
    this.#departures.delete(uid);
    const state = this.#deps.machines().stateOf(uid);
    if (state?.phase.name === 'Migrating' && state.phase.id !== id) this.follow(state);
  }

  /** Nothing sends it any more once this has resolved, nor asks after it. */
  async stop(uid: string): Promise<void> {
    const known = this.#departures.get(uid);
    known?.abort.abort(new Error('It is not to be sent any more'));
    await known?.finished;
  }

  progressOf(uid: string): { readonly transferred: number; readonly total: number } | undefined {
    return this.#departures.get(uid)?.progress;
  }

  /** The guest goes on here: its destination need not wait for it. Does not wait for that. */
  stayed({ launch, phase }: Pick<MachineState, 'launch' | 'phase'>): void {
    if (phase.name !== 'Migrating' || this.#over.signal.aborted) return;
    const { uid } = launch;
    const telling = this.#tell(uid, phase)
      .catch((error: unknown) => {
        this.#deps.log.info('A destination was not told that nothing comes', { uid, reason: messageOf(error) });
      })
      .finally(() => this.#telling.delete(telling));
    this.#telling.add(telling);
  }

  async #tell(uid: string, { id, to, ending }: Migrating): Promise<void> {
    const { clock, peers } = this.#deps;
    using limit = deadline(clock, tellMs, 'Telling the destination', this.#over.signal);
    const peer = peers.open({ ...to, uid, id });
    await whileNot(limit.signal, peer.refuse(ending?.message ?? 'It is not sent', limit.signal));
  }

  async #run(job: Job): Promise<void> {
    await using sockets = new AsyncDisposableStack();
    const isSent = this.#phase(job)?.sent !== undefined;
    if (!isSent && !(await this.#sendAll(job, sockets))) return;
    await this.#askWhatBecame(job, !isSent);
  }

  /** True if all was sent, which is then stored. */
  async #sendAll(job: Job, sockets: AsyncDisposableStack): Promise<boolean> {
    const { uid, id, signal } = job;
    let sent: string;
    try {
      sent = await this.#send(job, sockets);
    } catch (error) {
      if (signal.aborted) return false;
      this.#deps.log.warn('A machine was not sent', { uid, id, reason: messageOf(error) });
      await this.#insist(job, { type: 'unsent', id, message: messageOf(error) });
      return false;
    }
    while (this.#phase(job)?.sent === undefined) {
      if (signal.aborted || !this.#phase(job)) return false;
      try {
        await whileNot(signal, this.#deps.machines().ask(uid, { type: 'sent', id, sent }));
      } catch {
        // It is over, which the state says, or its driver has too much to do.
        if (signal.aborted) return false;
        await this.#deps.clock.sleep(again.firstMs, signal);
      }
    }
    return true;
  }

  async #send(job: Job, stack: AsyncDisposableStack): Promise<string> {
    const { moves, peers } = this.#deps;
    const { uid, signal } = job;
    // Orders about disks that come from now on wait for the end of this.
    if (this.#deps.usesDisk(uid)) throw new MachineError('Its disk is being copied for a snapshot');
    const peer = this.#peer(job);
    const described = await whileNot(signal, peer.describe(signal));
    const begun = await moves.begin(uid, described);
    signal.throwIfAborted();
    const received = await whileNot(signal, peer.prepare(begun, signal));
    const place = stack.use(await peers.place());
    await place.leadTo(peer, signal);
    signal.throwIfAborted();
    return await moves.send(uid, received, place, {
      signal,
      progress: (transferred, total) => {
        const departure = this.#departures.get(uid);
        if (departure?.id === job.id) departure.progress = { transferred, total };
      },
    });
  }

  /** Until the answer is in the state, which ends this: for ever, if the destination never answers and nobody else says what became of it. */
  async #askWhatBecame(job: Job, isFirst: boolean): Promise<void> {
    const { clock, random, log } = this.#deps;
    const { uid, id, signal } = job;
    for (let failures = isFirst ? 0 : 1; !signal.aborted; failures++) {
      try {
        const outcome = await this.#ask(job, failures > 0);
        if (outcome !== 'Receiving')
          this.#deps.machines().tell(uid, { type: 'decided', id, taken: outcome === 'Taken' });
      } catch (error) {
        if (!signal.aborted)
          log.warn('The destination of a machine does not answer', { uid, id, reason: messageOf(error) });
      }
      await clock.sleep(backoffMs(failures + 1, again, random), signal).catch(() => undefined); // the loop sees it
    }
  }

  async #ask(job: Job, mayBeDecided: boolean) {
    const { signal } = job;
    const peer = this.#peer(job);
    const outcome = mayBeDecided ? await whileNot(signal, peer.outcome(signal)) : 'Receiving';
    const sent = this.#phase(job)?.sent;
    if (outcome !== 'Receiving' || sent === undefined) return outcome;
    return await whileNot(signal, peer.finish(sent, signal));
  }

  /** The driver may have too much to do to hear it. */
  async #insist({ uid, signal }: Job, event: MigrationEvent): Promise<void> {
    while (!signal.aborted) {
      this.#deps.machines().tell(uid, event);
      await this.#deps.clock.sleep(again.firstMs, signal).catch(() => undefined); // the loop sees it
    }
  }

  /** Undefined once it is over. */
  #phase({ uid, id }: Pick<Job, 'uid' | 'id'>): Migrating | undefined {
    const phase = this.#deps.machines().stateOf(uid)?.phase;
    return phase?.name === 'Migrating' && phase.id === id && !phase.ending ? phase : undefined;
  }

  /** At the endpoint that was told last. */
  #peer({ uid, id }: Job): MigrationPeer {
    const phase = this.#phase({ uid, id });
    if (!phase) throw new Error('It is not to be sent any more');
    return this.#deps.peers.open({ ...phase.to, uid, id });
  }
}

/** What is waited for may not heed the signal. */
async function whileNot<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    // Whoever stopped waiting has nobody to tell.
    work.catch(() => undefined);
  }
}
