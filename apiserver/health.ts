/** /livez, /readyz and /healthz: plain text, `ok` or what failed. */
import type { Store } from '#apiserver/store/store.ts';
import type { Clock } from '#lib/std/clock.ts';

export interface HealthAnswer {
  readonly status: number;
  readonly text: string;
}

export type Health = (path: string, query: URLSearchParams) => Promise<HealthAnswer | undefined>;

interface Check {
  readonly name: string;
  readonly passes: () => Promise<boolean>;
}

const deadlineMs = 2_000;

export function createHealth(options: {
  readonly store: Store;
  readonly clock: Clock;
  readonly stopping: () => boolean;
}): Health {
  const ping: Check = { name: 'ping', passes: async () => true };
  const store: Check = { name: 'store', passes: () => answers(options.store, options.clock) };
  const shutdown: Check = { name: 'shutdown', passes: async () => !options.stopping() };
  const checks: Readonly<Record<string, readonly Check[]>> = {
    livez: [ping],
    healthz: [ping, store],
    readyz: [ping, store, shutdown],
  };
  return async (path, query) => {
    const [root, name, ...more] = path.slice(1).split('/');
    if (!root || !Object.hasOwn(checks, root) || more.length > 0) return undefined;
    const excluded = new Set(query.getAll('exclude'));
    const chosen = checks[root]!.filter((check) => (name ? check.name === name : !excluded.has(check.name)));
    return chosen.length === 0 && name ? undefined : await run(root, chosen, query.has('verbose'));
  };
}

async function run(root: string, checks: readonly Check[], verbose: boolean): Promise<HealthAnswer> {
  const results = await Promise.all(checks.map(async (check) => ({ name: check.name, ok: await check.passes() })));
  const failed = results.some(({ ok }) => !ok);
  const lines = results.map(({ name, ok }) => (ok ? `[+]${name} ok` : `[-]${name} failed`));
  const text = `${lines.join('\n')}\n${root} check ${failed ? 'failed' : 'passed'}\n`;
  return { status: failed ? 500 : 200, text: failed || verbose ? text : 'ok' };
}

/** Whether the store answers within the deadline. */
async function answers(store: Store, clock: Clock): Promise<boolean> {
  const done = new AbortController();
  const read = store.currentRev().then(
    () => true,
    () => false,
  );
  const late = clock.sleep(deadlineMs, done.signal).then(
    () => false,
    () => false,
  );
  const ok = await Promise.race([read, late]);
  done.abort();
  return ok;
}
