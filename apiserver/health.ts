/** /livez, /readyz and /healthz: plain text in the form of Kubernetes, `ok` or which check failed. */
import type { Store } from '#apiserver/store/store.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Registry } from './resources/registry.ts';
import type { Caches } from './storage/caches.ts';

export interface HealthAnswer {
  readonly status: number;
  readonly text: string;
}

/** undefined for a path that is none of these. */
export type Health = (path: string, query: URLSearchParams) => Promise<HealthAnswer | undefined>;

export interface Check {
  readonly name: string;
  /** Only asked whether the server should get requests, not whether it should be started anew. */
  readonly readyOnly?: boolean;
  readonly passes: () => boolean | Promise<boolean>;
}

const deadlineMs = 2_000;

/** A check that fails, throws or does not answer in time fails. Why is nobody's business: everybody may ask. */
export function createHealth(checks: readonly Check[], clock: Clock): Health {
  const always = checks.filter((check) => !check.readyOnly);
  const roots = new Map([
    ['livez', always],
    ['healthz', always],
    ['readyz', checks],
  ]);
  return async (path, query) => {
    const [root = '', ...rest] = path.replace(/^\/|\/$/g, '').split('/');
    const asked = roots.get(root);
    if (!asked) return undefined;
    const only = rest.length > 0 ? asked.find(({ name }) => name === rest.join('/')) : undefined;
    if (only) return oneAnswer(await passes(only, clock));
    if (rest.length > 0) return undefined;
    return await allAnswers(root, asked, query, clock);
  };
}

function oneAnswer(ok: boolean): HealthAnswer {
  return ok ? { status: 200, text: 'ok' } : { status: 500, text: 'internal server error: reason withheld\n' };
}

async function allAnswers(root: string, checks: readonly Check[], query: URLSearchParams, clock: Clock) {
  const excluded = new Set(query.getAll('exclude'));
  const results = await Promise.all(
    checks.map(async (check) => ({ name: check.name, ok: excluded.has(check.name) || (await passes(check, clock)) })),
  );
  const lines = results.map(({ name, ok }) => {
    if (excluded.delete(name)) return `[+]${name} excluded: ok`;
    return ok ? `[+]${name} ok` : `[-]${name} failed: reason withheld`;
  });
  if (excluded.size > 0) lines.push(`warn: some health checks cannot be excluded: no matches for ${quoted(excluded)}`);
  const failed = results.some(({ ok }) => !ok);
  const text = `${lines.join('\n')}\n${root} check ${failed ? 'failed' : 'passed'}\n`;
  return { status: failed ? 500 : 200, text: failed || query.has('verbose') ? text : 'ok' };
}

function quoted(names: Iterable<string>): string {
  return [...names].map((name) => JSON.stringify(name)).join(',');
}

async function passes(check: Check, clock: Clock): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  using _ = clock.timeout(() => resolve(false), deadlineMs);
  const answer = Promise.try(check.passes).catch(() => false);
  return await Promise.race([answer, late]);
}

export interface Parts {
  readonly store: Store;
  readonly registry: Registry;
  readonly caches: Caches;
  /** True as soon as the server has been told to stop. */
  readonly stopping: () => boolean;
  /** False while lines for the audit log are stuck. */
  readonly logging: () => boolean;
}

/** What has to hold. The names are those of Kubernetes, so that probes that exclude some of them go on to work. */
export function serverChecks({ store, registry, caches, stopping, logging }: Parts): Check[] {
  return [
    { name: 'ping', passes: () => true },
    { name: 'log', passes: logging },
    { name: 'etcd', passes: () => store.currentRev().then(() => true) },
    { name: 'etcd-readiness', readyOnly: true, passes: () => store.currentRev().then(() => true) },
    {
      name: 'informer-sync',
      readyOnly: true,
      passes: () => registry.stored().every((resource) => caches.of(resource).rev !== undefined),
    },
    { name: 'shutdown', readyOnly: true, passes: () => !stopping() },
  ];
}
