/**
 * One of several identical programs works, by a coordination.k8s.io Lease. client-go's algorithm and figures:
 *
 *   - A lease that somebody else holds is taken over when it has not *changed* for its duration, by our own monotonic clock. Times inside
 *     the lease are for people: clocks of different machines are never compared.
 *   - The holder renews every 2 s. If that has not worked for 10 s it has lost, and must stop before the 15 s are over that others wait.
 *     (leader-flags.ts has the flags for other figures.)
 *   - On shutdown the lease is given back (no holder, one second), so that the next one does not wait.
 *
 * Every write carries the resourceVersion that was read, so two candidates cannot both win. The lease is a promise by clock all the
 * same: what must never happen twice is fenced by other means (resourceVersions, Mesos' framework id).
 */
import { Lease } from '#lib/api/core.ts';
import type { Client } from '#lib/client/client.ts';
import type { Clock } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';

/** All that an election asks of a client. */
export type LeaseClient = Pick<Client, 'get' | 'create' | 'update'>;

export interface LeaderOptions {
  readonly client: LeaseClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The lease: one per role. */
  readonly name: string;
  readonly namespace: string;
  /** Tells candidates apart; different at every start of the program. */
  readonly identity: string;
  readonly times?: LeaseTimes;
}

/** All candidates for one lease need the same. */
export interface LeaseTimes {
  /** Others wait this long for a holder that does not renew; whole seconds. */
  readonly durationMs: number;
  /** A holder that could not renew for this long stops. */
  readonly renewDeadlineMs: number;
  /** Between two tries. */
  readonly retryMs: number;
}

/** Those of Kubernetes' own programs. */
export const defaultLeaseTimes: LeaseTimes = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };

export class LeadershipLost extends Error {}

/** What was read last, and when it was first read like that. */
interface Observation {
  readonly lease: Lease;
  readonly sinceMs: number;
}

/**
 * Waits until this candidate leads, runs `work` with a signal that aborts when it no longer does, and gives the lease back. A process that
 * was stopped may go on before that signal can reach it: `isLeading` tells at once, by the clock, whether nobody else can lead yet. Rejects with
 * LeadershipLost when the lease could not be renewed, at once, while `work` may still be ending: the caller must end the process, since
 * what it was doing may be going on elsewhere. Otherwise ends as `work` does. Returns without having run it if `signal` aborts first.
 */
export async function lead(
  options: LeaderOptions,
  signal: AbortSignal,
  work: (signal: AbortSignal, isLeading: () => boolean) => Promise<void>,
): Promise<void> {
  const candidate = new Candidate(options);
  if (!(await candidate.acquire(signal))) return;
  options.log.info('Leading', { lease: options.name, identity: options.identity });
  const over = new AbortController();
  const working = AbortSignal.any([signal, over.signal]);
  const lost = Promise.withResolvers<never>();
  const renewing = candidate.renew(working).catch((error: unknown) => {
    over.abort(error);
    lost.reject(error);
  });
  const worked = work(working, () => candidate.isLeading).finally(() => over.abort(new Error('The work has ended')));
  // Whoever has lost waits for nothing: only the end of the process ends for certain what it has under way.
  await Promise.race([Promise.allSettled([worked, renewing]), lost.promise]);
  // Both have ended: the lease is free for others.
  await candidate.release();
  await worked;
}

class Candidate {
  readonly #options: LeaderOptions;
  readonly #times: LeaseTimes;
  #observed: Observation | undefined;
  /** When the write began with which the lease was last taken or renewed. */
  #renewedMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#times = options.times ?? defaultLeaseTimes;
  }

  get isLeading(): boolean {
    return this.#options.clock.monotonic() - this.#renewedMs < this.#times.renewDeadlineMs;
  }

  /** True once the lease is ours; false if the signal aborted first. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    const { clock, random, log, name } = this.#options;
    const { renewDeadlineMs, retryMs } = this.#times;
    while (!signal.aborted) {
      const startedMs = clock.monotonic();
      try {
        using late = deadline(clock, renewDeadlineMs, 'Taking the lease', signal);
        if (await this.#tryOnce(late.signal)) {
          this.#renewedMs = startedMs;
          return true;
        }
      } catch (error) {
        if (!signal.aborted) log.warn('Cannot read or write the lease', { lease: name, error: messageOf(error) });
      }
      await clock.sleep(retryMs * (1 + 0.2 * random.next()), signal).catch(() => undefined);
    }
    return false;
  }

  /** Renews until the signal aborts; rejects with LeadershipLost. */
  async renew(signal: AbortSignal): Promise<void> {
    const { clock, log, name } = this.#options;
    const { renewDeadlineMs, retryMs } = this.#times;
    while (!signal.aborted) {
      await clock.sleep(retryMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const leftMs = renewDeadlineMs - (clock.monotonic() - this.#renewedMs);
      // Also when the event loop was blocked for so long: others may lead by now.
      if (leftMs <= 0) throw new LeadershipLost(`Lease ${name} could not be renewed for ${renewDeadlineMs} ms`);
      const startedMs = clock.monotonic();
      try {
        using late = deadline(clock, leftMs, 'Renewing the lease', signal);
        if (await this.#tryOnce(late.signal)) this.#renewedMs = startedMs;
        else if (!this.#isMine()) throw new LeadershipLost(`Lease ${name} was taken by another candidate`);
      } catch (error) {
        if (error instanceof LeadershipLost) throw error;
        if (!signal.aborted) log.warn('Lease not renewed', { lease: name, error: messageOf(error) });
      }
    }
  }

  /** Best effort: whoever comes next can also wait for the lease to run out. */
  async release(): Promise<void> {
    const { client, clock, log, name } = this.#options;
    const lease = this.#observed?.lease;
    this.#renewedMs = Number.NEGATIVE_INFINITY;
    if (!lease || !this.#isMine()) return;
    try {
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: this.#microTime() };
      using late = deadline(clock, this.#times.retryMs, 'Giving the lease back');
      await client.update(Lease, { ...lease, spec }, { signal: late.signal });
    } catch (error) {
      log.warn('Lease not given back', { lease: name, error: messageOf(error) });
    }
  }

  /** True if the lease is ours after it. */
  async #tryOnce(signal: AbortSignal): Promise<boolean> {
    const { client, name, namespace, identity, clock } = this.#options;
    try {
      // What we wrote last is what is there, or the write is refused: then it is time to look.
      if (this.#isMine() && (await this.#overwrite(this.#observed!.lease, true, signal))) return true;
      const lease = await client.get(Lease, { name, namespace }, { signal });
      if (lease.metadata.resourceVersion !== this.#observed?.lease.metadata.resourceVersion)
        this.#observed = { lease, sinceMs: clock.monotonic() };
      const mine = lease.spec?.holderIdentity === identity;
      if (!mine && this.#isHeld()) return false;
      return await this.#overwrite(lease, mine, signal);
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
    }
    const metadata = { name, namespace };
    const draft = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: this.#spec(undefined, false) };
    return client.create(Lease, draft, { signal }).then(
      (lease) => this.#store(lease),
      (error: unknown) => {
        if (isCode(error, 'AlreadyExists')) return false;
        throw error;
      },
    );
  }

  /** False if somebody wrote meanwhile. */
  async #overwrite(lease: Lease, mine: boolean, signal: AbortSignal): Promise<boolean> {
    try {
      const spec = this.#spec(lease, mine);
      return this.#store(await this.#options.client.update(Lease, { ...lease, spec }, { signal }));
    } catch (error) {
      if (isCode(error, 'Conflict')) return false;
      throw error;
    }
  }

  #store(lease: Lease): true {
    this.#observed = { lease, sinceMs: this.#options.clock.monotonic() };
    return true;
  }

  #isMine(): boolean {
    return this.#observed?.lease.spec?.holderIdentity === this.#options.identity;
  }

  #isHeld(): boolean {
    const { lease, sinceMs } = this.#observed!;
    if (!lease.spec?.holderIdentity) return false;
    const seconds = lease.spec.leaseDurationSeconds;
    const durationMs = seconds === undefined ? this.#times.durationMs : seconds * 1000;
    return this.#options.clock.monotonic() - sinceMs < durationMs;
  }

  #spec(old: Lease | undefined, mine: boolean): NonNullable<Lease['spec']> {
    const now = this.#microTime();
    const transitions = old?.spec?.leaseTransitions ?? 0;
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: this.#times.durationMs / 1000,
      acquireTime: mine ? (old?.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: mine || !old ? transitions : transitions + 1,
    };
  }

  /** metav1.MicroTime. */
  #microTime(): string {
    return new Date(this.#options.clock.now()).toISOString().replace('Z', '000Z');
  }
}
