/**
 * Which of several masters to talk to. There is no asking beforehand: any answer about leadership may be old by seconds, so callers try
 * one, follow 307, and move on to the next after a failure. (ZooKeeper's json.info_* would be one more source of `urls`.)
 */
const maxHops = 4;

export interface MasterChoice {
  /** Origin to try now. */
  readonly current: string;
  /** Takes the Location of a 307 (`//host:port/path`, without scheme). Throws after 4 hops without success: masters may point at each other for seconds. */
  redirected(location: string | undefined): void;
  /** No answer, or not the leader: try the next one of the list. */
  failed(): void;
  /** It leads: stay with it. */
  succeeded(): void;
}

/** The origin of a master's URL; accepts a bare host:port. Throws TypeError for what is no URL. */
export function originOf(url: string): string {
  return new URL(url.includes('://') ? url : `http://${url}`).origin;
}

export function chooseMaster(urls: readonly string[]): MasterChoice {
  const origins = urls.map(originOf);
  if (origins.length === 0) throw new Error('No Mesos master is given: name at least one URL');
  let index = 0;
  let current = origins[0]!;
  let hops = 0;
  const failed = () => {
    hops = 0;
    index = (index + 1) % origins.length;
    current = origins[index]!;
  };
  return {
    get current() {
      return current;
    },
    failed,
    succeeded() {
      hops = 0;
    },
    redirected(location) {
      const from = current;
      if (location === undefined || ++hops > maxHops) {
        failed();
        throw new Error(`Master ${from} does not lead, and ${maxHops} redirects led to no master that does`);
      }
      current = new URL(location, from).origin;
    },
  };
}
