/**
 * Watches the imitated hosts of a local cluster from the outside, through the files their domains live in, while everything above is being
 * killed: whether a machine ever runs twice, and whether one that is wanted is ever restarted.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { localPaths } from '#cli/local/settings.ts';
import { systemClock } from '#lib/std/clock.ts';

export interface RunningDomain {
  readonly host: string;
  readonly uid: string;
  /** When the guest was started; another value is another life. */
  readonly bootedAt: number;
}

const lookEveryMs = 50;

/** Domains that run now, on all imitated hosts. A file that is being replaced or removed is not there for a moment. */
export function runningDomains(dir: string): readonly RunningDomain[] {
  const hosts = localPaths(dir).host('');
  return list(hosts).flatMap((host) => {
    const folder = join(hosts, host, 'executor/sim/domains');
    return list(folder)
      .filter((name) => name.endsWith('.json'))
      .flatMap((name) => {
        const domain = read(join(folder, name));
        return domain?.power === 'On' && domain.bootedAt !== undefined
          ? [{ host, uid: name.slice(0, -5), bootedAt: domain.bootedAt }]
          : [];
      });
  });
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function read(
  file: string,
): { readonly power: string; readonly bootedAt?: number; readonly offAt?: number } | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { power: string; bootedAt?: number };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export interface Observer extends AsyncDisposable {
  /** uid: every start of it that was seen. One each if nothing was restarted. */
  readonly lives: ReadonlyMap<string, ReadonlySet<number>>;
  /** uid: wall clock of the first look at which it ran no more. */
  readonly stopped: ReadonlyMap<string, number>;
  /** Sentences about machines that were seen running in two places at once. */
  readonly doubles: readonly string[];
  readonly looks: number;
}

export function observe(dir: string): Observer {
  const lives = new Map<string, Set<number>>();
  const stopped = new Map<string, number>();
  const doubles: string[] = [];
  const ended = new AbortController();
  let looks = 0;
  const look = () => {
    looks += 1;
    const now = runningDomains(dir);
    for (const { uid, bootedAt } of now) lives.set(uid, (lives.get(uid) ?? new Set()).add(bootedAt));
    const running = new Set(now.map(({ uid }) => uid));
    for (const uid of lives.keys()) if (!running.has(uid) && !stopped.has(uid)) stopped.set(uid, systemClock.now());
    const twice = now.filter(({ uid, host }) => now.some((other) => other.uid === uid && other.host !== host));
    // Files are read one after the other: a machine that moved in between only looks double. It is if a second look says so too.
    if (twice.length > 0) {
      const again = runningDomains(dir).filter(({ uid }) => twice.some((each) => each.uid === uid));
      for (const { uid } of again) {
        const hosts = again.filter((each) => each.uid === uid).map(({ host }) => host);
        if (hosts.length > 1) doubles.push(`${uid} runs on ${hosts.join(' and ')}`);
      }
    }
  };
  const loop = (async () => {
    while (!ended.signal.aborted) {
      look();
      await systemClock.sleep(lookEveryMs);
    }
  })();
  return {
    lives,
    stopped,
    doubles,
    get looks() {
      return looks;
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await loop;
    },
  };
}
