import { type Etcd3, EtcdLeaseInvalidError } from 'etcd3';
import type { Clock } from '#lib/std/clock.ts';

/** Figures of Kubernetes' own lease manager (apiserver, storage/etcd3/lease_manager.go): one lease per Event would kill etcd. */
const shareMs = 60_000;
const maxKeysPerLease = 1_000;

interface SharedLease {
  readonly id: Promise<string>;
  readonly sinceMs: number;
  keys: number;
}

/**
 * Hands out etcd leases for keys with a time to live. Keys with the same one share a lease for a minute, so that a lease lives that
 * minute longer than asked. Nobody keeps them alive: they end by themselves.
 */
export class SharedLeases {
  readonly #etcd: Etcd3;
  readonly #clock: Clock;
  readonly #callTimeoutMs: number;
  readonly #byTtl = new Map<number, SharedLease>();

  constructor(etcd: Etcd3, clock: Clock, callTimeoutMs: number) {
    this.#etcd = etcd;
    this.#clock = clock;
    this.#callTimeoutMs = callTimeoutMs;
  }

  /** Calls `write` with a lease that lives at least `ttlSeconds` from now; once more if etcd no longer knows that one. */
  async use<T>(ttlSeconds: number, write: (lease: string) => Promise<T>): Promise<T> {
    const lease = this.#lease(ttlSeconds);
    try {
      return await write(await lease.id);
    } catch (error) {
      if (!(error instanceof EtcdLeaseInvalidError)) throw error;
      this.#forget(ttlSeconds, lease);
      return write(await this.#lease(ttlSeconds).id);
    }
  }

  #lease(ttlSeconds: number): SharedLease {
    const now = this.#clock.monotonic();
    const shared = this.#byTtl.get(ttlSeconds);
    if (shared && shared.keys < maxKeysPerLease && now - shared.sinceMs < shareMs) {
      shared.keys++;
      return shared;
    }
    const fresh: SharedLease = { id: this.#grant(ttlSeconds), sinceMs: now, keys: 1 };
    this.#byTtl.set(ttlSeconds, fresh);
    fresh.id.catch(() => this.#forget(ttlSeconds, fresh));
    return fresh;
  }

  #forget(ttlSeconds: number, lease: SharedLease): void {
    if (this.#byTtl.get(ttlSeconds) === lease) this.#byTtl.delete(ttlSeconds);
  }

  async #grant(ttlSeconds: number): Promise<string> {
    const { ID } = await this.#etcd.leaseClient.leaseGrant(
      { TTL: ttlSeconds + shareMs / 1000 },
      { deadline: Date.now() + this.#callTimeoutMs },
    );
    return ID;
  }
}
