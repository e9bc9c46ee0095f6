/**
 * Hosts that fail every launch look the emptiest and would attract everything. After three failures without a success such a host is
 * left alone for a while (api.md: SuspectHost), twice as long after each further one. Failures of a pool that fails everywhere are not the
 * hosts' (breakers.ts).
 */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { Clock } from '#lib/std/clock.ts';

const windowMs = 10 * 60_000;
const failuresAllowed = 3;
const firstPauseMs = 60_000;

export interface Suspect {
  readonly failures: number;
  /** Of the last one. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

interface Failure {
  readonly group: string;
  readonly reason: string;
  /** Monotonic. */
  readonly atMs: number;
}

interface Record {
  /** Since the last success. */
  readonly failures: readonly Failure[];
  /** Monotonic. */
  readonly pausedUntilMs: number;
  readonly until: number;
}

/** Reasons of Mesos for a task that never began which lie with the host. Others speak of the offer, or of what we asked for. */
const hostFaults = new Set(['REASON_AGENT_DISCONNECTED', 'REASON_AGENT_REMOVED', 'REASON_GC_ERROR']);

type ClosedAttempt = NonNullable<NonNullable<VirtualMachine['status']>['attempts']>[number];

/** What the host may be to blame for in the end of an attempt; undefined: nothing. `told` is Mesos' reason with the task's last state. */
export function faultOf(ended: ClosedAttempt, told: string | undefined): string | undefined {
  if (ended.outcome === 'Dropped') return told !== undefined && hostFaults.has(told) ? told : undefined;
  const isInfrastructure = ended.outcome === 'Failed' && ended.class === 'Infrastructure';
  // The secrets of a seed come from us: another host would have waited for them, too.
  return isInfrastructure && ended.reason !== 'SecretsNotReceived' ? ended.reason : undefined;
}

export class Suspects {
  readonly #clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly #records = new Map<string, Record>();

  constructor(clock: Pick<Clock, 'now' | 'monotonic'>) {
    this.#clock = clock;
  }

  /** A launch of a machine of this group failed for a reason that may lie with the host. */
  failed(hostname: string, group: string, reason: string): void {
    const atMs = this.#clock.monotonic();
    const failures = [...this.#recent(hostname), { group, reason, atMs }].slice(-10);
    const over = failures.length - failuresAllowed;
    const pauseMs = over < 0 ? 0 : firstPauseMs * 2 ** Math.min(over, 4);
    this.#records.set(hostname, { failures, pausedUntilMs: atMs + pauseMs, until: this.#clock.now() + pauseMs });
  }

  succeeded(hostname: string): void {
    this.#records.delete(hostname);
  }

  /** What a group failed at says nothing of hosts: those that are suspect by it alone are not any more. */
  clear(group: string): void {
    for (const [hostname, record] of this.#records) {
      const failures = record.failures.filter((failure) => failure.group !== group);
      if (failures.length === record.failures.length) continue;
      const isFreed = failures.length < failuresAllowed;
      this.#records.set(hostname, { ...record, failures, ...(isFreed && { pausedUntilMs: 0 }) });
    }
  }

  /** Failures since the last success, as far as they are not too long ago to mean something. */
  score(hostname: string): number {
    return this.#recent(hostname).length;
  }

  /** undefined: the host may be used. */
  suspect(hostname: string): Suspect | undefined {
    const record = this.#records.get(hostname);
    if (record === undefined || record.pausedUntilMs <= this.#clock.monotonic()) return undefined;
    const { failures, until } = record;
    return { failures: failures.length, reason: failures.at(-1)?.reason ?? '', until };
  }

  #recent(hostname: string): readonly Failure[] {
    const nowMs = this.#clock.monotonic();
    return this.#records.get(hostname)?.failures.filter(({ atMs }) => nowMs - atMs < windowMs) ?? [];
  }
}
