/**
 * Which of several masters to talk to: the one that a list of URLs or ZooKeeper names, as far as it is known. Any answer about leadership
 * may be old by seconds, so callers try one, follow 307, and come back after a failure.
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { Hops } from './hops.ts';
import { ZooKeeperMasters, type ZooKeeperTiming } from './leader-zookeeper.ts';
import { isZooKeeperUrl, parseZooKeeperUrl } from './zookeeper/url.ts';

export interface MasterChoice extends AsyncDisposable {
  /** Origin to try now; undefined while none is known. */
  readonly current: string | undefined;
  /** How many different answers `next` can have without waiting for news: after so many failures in a row there is no use in going on at once. */
  readonly size: number;
  /** Origin to try now. Waits for ZooKeeper to name one; rejects when it does not in time, saying why. */
  next(signal: AbortSignal): Promise<string>;
  /** Takes the Location of a 307 (`//host:port/path`, without scheme). Throws after 4 hops without success: masters may point at each other for seconds. */
  redirected(location: string | undefined): void;
  /** No answer, or not the leader: try the next one of the list, or what ZooKeeper says. */
  failed(): void;
  /** It leads: stay with it. */
  succeeded(): void;
  /** Tells when another master than `current` has come to lead. A list of URLs never knows. */
  onChange(told: (origin: string) => void): Disposable;
}

export interface ChoiceParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How masters speak that are named by address alone. */
  readonly scheme?: 'http' | 'https';
  readonly zooKeeper?: ZooKeeperTiming;
}

/** The origin of a master's URL; accepts a bare host:port. Throws TypeError for what is no URL. */
export function originOf(url: string, scheme: 'http' | 'https' = 'http'): string {
  return new URL(url.includes('://') ? url : `${scheme}://${url}`).origin;
}

/**
 * `masters` are URLs of masters, or one `zk://host:port,host:port/path` alone. Nothing is opened before `next` is called; what was opened
 * is closed when the choice is disposed of. Throws TypeError for what is no URL.
 */
export function chooseMaster(masters: readonly string[], parts: ChoiceParts): MasterChoice {
  const [first] = masters;
  if (first === undefined) throw new TypeError('No Mesos master is given: name at least one URL');
  if (!masters.some(isZooKeeperUrl)) return new ListedMasters(masters.map((url) => originOf(url, parts.scheme)));
  if (masters.length > 1) throw new TypeError('Masters are found through ZooKeeper or by their URLs, not through both');
  return new ZooKeeperMasters(parseZooKeeperUrl(first), parts);
}

class ListedMasters implements MasterChoice {
  readonly #origins: readonly string[];
  readonly #hops = new Hops();
  #index = 0;

  constructor(origins: readonly string[]) {
    this.#origins = origins;
  }

  get size(): number {
    return this.#origins.length;
  }

  get current(): string {
    return this.#hops.target ?? this.#origins[this.#index]!;
  }

  next(): Promise<string> {
    return Promise.resolve(this.current);
  }

  redirected(location: string | undefined): void {
    try {
      this.#hops.follow(this.current, location);
    } catch (error) {
      this.failed();
      throw error;
    }
  }

  /** Whoever failed is asked last, also one that another had named: it may stand next in the list. */
  failed(): void {
    const at = this.#origins.indexOf(this.current);
    this.#hops.forget();
    this.#index = ((at < 0 ? this.#index : at) + 1) % this.#origins.length;
  }

  succeeded(): void {
    this.#hops.arrived();
  }

  onChange(): Disposable {
    return { [Symbol.dispose]() {} };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
