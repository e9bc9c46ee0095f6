/**
 * Hosts that fail every launch look the emptiest and would attract everything. After three failures without a success such a host is
 * left alone for a while (api.md: SuspectHost). Failures of a pool that fails everywhere are not the hosts' (breakers.ts).
 */
const windowMs = 10 * 60_000;
const failuresAllowed = 3;
const firstPauseMs = 60_000;

interface Failure {
  readonly group: string;
  /** Monotonic. */
  readonly atMs: number;
}

interface Record {
  /** Since the last success. */
  readonly failures: readonly Failure[];
  readonly untilMs: number;
}

export class Suspects {
  readonly #records = new Map<string, Record>();

  /** A launch of a machine of this group failed for a reason that may lie with the host. */
  failed(hostname: string, group: string, nowMs: number): void {
    const old = this.#records.get(hostname)?.failures ?? [];
    const failures = [...old.filter(({ atMs }) => nowMs - atMs < windowMs), { group, atMs: nowMs }].slice(-10);
    const over = failures.length - failuresAllowed;
    const untilMs = over < 0 ? 0 : nowMs + firstPauseMs * 2 ** Math.min(over, 4);
    this.#records.set(hostname, { failures, untilMs });
  }

  succeeded(hostname: string): void {
    this.#records.delete(hostname);
  }

  /** What a group failed at says nothing of hosts: those that are suspect by it alone are not any more. */
  clear(group: string): void {
    for (const [hostname, { failures, untilMs }] of this.#records) {
      const left = failures.filter((failure) => failure.group !== group);
      if (left.length < failures.length)
        this.#records.set(hostname, { failures: left, untilMs: left.length < failuresAllowed ? 0 : untilMs });
    }
  }

  isSuspect(hostname: string, nowMs: number): boolean {
    return (this.#records.get(hostname)?.untilMs ?? 0) > nowMs;
  }
}
