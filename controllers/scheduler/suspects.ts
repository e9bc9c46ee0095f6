/**
 * Hosts that fail every launch look the emptiest and would attract everything. After three failures without a success such a host is
 * left alone for a while (api.md: SuspectHost).
 */
const windowMs = 10 * 60_000;
const failuresAllowed = 3;
const firstPauseMs = 60_000;

interface Record {
  /** Monotonic times of failures since the last success. */
  readonly failures: readonly number[];
  readonly untilMs: number;
}

export class Suspects {
  readonly #records = new Map<string, Record>();

  /** A launch failed for a reason that lies with the host. */
  failed(hostname: string, nowMs: number): void {
    const old = this.#records.get(hostname)?.failures ?? [];
    const failures = [...old.filter((time) => nowMs - time < windowMs), nowMs].slice(-10);
    const over = failures.length - failuresAllowed;
    const untilMs = over < 0 ? 0 : nowMs + firstPauseMs * 2 ** Math.min(over, 4);
    this.#records.set(hostname, { failures, untilMs });
  }

  succeeded(hostname: string): void {
    this.#records.delete(hostname);
  }

  isSuspect(hostname: string, nowMs: number): boolean {
    return (this.#records.get(hostname)?.untilMs ?? 0) > nowMs;
  }
}
