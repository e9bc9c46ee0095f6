/** factory-controllers: runs all controllers while it leads; any number of standbys keep their caches filled. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { Namespace } from '#lib/api/core.ts';
import { publicNamespace, systemNamespace } from '#lib/api/names.ts';
import type { Client } from '#lib/client/client.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { jsonLog, type Log } from '#lib/std/log.ts';
import { runMain, UsageError } from '#lib/std/main.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { controllers, loops } from './controllers.ts';
import type { ControllerFactory } from './runtime/deps.ts';
import { serveHealth } from './runtime/health.ts';
import { defaultLeaseTimes, type LeaseTimes, lead } from './runtime/leader.ts';
import { leaderFlags, leaderUsage, leaseTimesFrom } from './runtime/leader-flags.ts';
import { createManager } from './runtime/manager.ts';

const component = 'factory-controllers';

export interface ControllersOptions {
  readonly client: Client;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log: Log;
  /** Tells candidates for leadership apart. */
  readonly identity: string;
  readonly times?: LeaseTimes;
  /** HOST:PORT for /livez, /readyz and /metrics; not served unless told. */
  readonly listen?: string;
  /** All of controllers.ts unless told. */
  readonly factories?: readonly ControllerFactory[];
  readonly freeze?: boolean;
}

/**
 * Runs until the signal aborts, leading when it can. Rejects with LeadershipLost when the lease was lost: the process has to end then.
 * In-process use in tests is by this function.
 */
export async function runControllers(options: ControllersOptions, signal: AbortSignal): Promise<void> {
  const { client, clock = systemClock, random = systemRandom, log, identity, factories = controllers } = options;
  const freeze = options.freeze ?? false;
  const manager = createManager({
    ...{ client, clock, random, log, factories, loops },
    ...{ component, instance: identity, freeze },
  });
  const stop = new AbortController();
  const running = AbortSignal.any([signal, stop.signal]);
  let ready = false;
  await using _health =
    options.listen === undefined
      ? undefined
      : await serveHealth(options.listen, { ready: () => ready, stats: () => manager.stats() });
  const warming = manager.warm(running);
  const readiness = manager.synced(running).then(
    () => {
      ready = true;
    },
    () => undefined, // Stopped before it was ready.
  );
  try {
    for (const name of [systemNamespace, publicNamespace])
      await ensureNamespace(name, client, clock, random, log, running);
    const common = { client, clock, random, log, identity, times: options.times ?? defaultLeaseTimes };
    const lease = { ...common, name: component, namespace: systemNamespace };
    await lead(lease, running, (leading) => manager.run(leading));
  } catch (error) {
    if (!signal.aborted) throw error;
    log.debug('Stopped in the middle of something', { error: messageOf(error) });
  } finally {
    stop.abort(new Error('The controllers have ended'));
    await Promise.all([warming, readiness]);
  }
}

/** Tries until it is there: the API server may come up after us. */
async function ensureNamespace(
  name: string,
  client: Client,
  clock: Clock,
  random: Random,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 1; ; failures++) {
    try {
      await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, { signal });
      return;
    } catch (error) {
      if (isCode(error, 'AlreadyExists')) return;
      signal.throwIfAborted();
      log.warn('Cannot make a namespace yet', { namespace: name, error: messageOf(error) });
      await clock.sleep(backoffMs(failures, { firstMs: 200, maxMs: 5_000 }, random), signal);
    }
  }
}

const usage = `Usage: factory-controllers --kubeconfig FILE [--identity NAME] [--listen HOST:PORT]

The reconcile loops that need no Mesos. Several may run; one leads, by Lease.

  --kubeconfig FILE    How to reach the API server; $KUBECONFIG if left out
  --identity NAME      Who leads, in the Lease. Unique per running process; one that is started again under the same name leads again at
                       once. The host name and a random word if left out
  --listen HOST:PORT   Serve /livez, /readyz and /metrics there${leaderUsage}`;

interface Flags {
  readonly kubeconfig: string;
  readonly identity: string;
  readonly times: LeaseTimes;
  readonly listen?: string;
}

function parseFlags(args: readonly string[]): Flags {
  const string = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { kubeconfig: string, identity: string, listen: string, ...leaderFlags, help: { type: 'boolean' } },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    const kubeconfig = values.kubeconfig ?? process.env.KUBECONFIG;
    if (!kubeconfig) throw new UsageError(`No kubeconfig: give --kubeconfig FILE or set KUBECONFIG\n${usage}`);
    // Whoever names a process promises that there is one of that name at a time: restarted, it leads again at once.
    const identity = values.identity ?? `${hostname()}_${systemRandom.uuid()}`;
    return { kubeconfig, identity, times: leaseTimesFrom(values), ...(values.listen && { listen: values.listen }) };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(`${messageOf(error)}\n${usage}`);
  }
}

if (import.meta.main) {
  const log = jsonLog(component);
  await runMain(log, async (stack, signal) => {
    const { kubeconfig, ...flags } = parseFlags(process.argv.slice(2));
    const client = stack.use(connectFromFile(kubeconfig, { userAgent: component }));
    await runControllers({ client, log, ...flags }, signal);
  });
}
