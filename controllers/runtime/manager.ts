/** Runs a set of controllers in this process: shared informers, one queue each. Also in tests, with another client and another clock. */
import type { Client } from '#lib/client/client.ts';
import { createInformers } from '#lib/client/informers.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { declared } from './access.ts';
import type { ControllerFactory, Deps, LoopFactory } from './deps.ts';
import { eventRecorder } from './events.ts';
import { type ControllerStats, prepareController, type RunningController } from './run-controller.ts';
import { notingClient } from './write-log.ts';

export interface ManagerOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly factories: readonly ControllerFactory[];
  readonly loops?: readonly LoopFactory[];
  /** Source of events, for example factory-controllers. */
  readonly component: string;
  /** Tells processes of one component apart. */
  readonly instance: string;
  /** Freeze what is cached, so that a controller that changes it fails: for tests. */
  readonly freeze?: boolean;
}

export interface Manager {
  /** Resolves when every cache has the first list. Rejects if `run` ends first. */
  synced(signal: AbortSignal): Promise<void>;
  stats(): Readonly<Record<string, ControllerStats>>;
  /** Fills the caches, so that work can begin at once when this process is to lead. Ends with the signal. */
  warm(signal: AbortSignal): Promise<void>;
  /** Runs the controllers, once the caches are filled, until the signal aborts and what was under way has ended. */
  run(signal: AbortSignal): Promise<void>;
}

/** Makes the controllers and all their informers; nothing is asked of the server before `warm`. */
export function createManager(options: ManagerOptions): Manager {
  const { clock, random, log, freeze = false } = options;
  const client = notingClient(options.client);
  const informers = createInformers({ client, clock, random, log, freeze });
  const recorder = eventRecorder(options);
  const deps: Deps = {
    client,
    cache: (kind, indexes) => informers.of(kind).cache(indexes),
    clock,
    random,
    events: recorder,
  };
  const running: readonly RunningController[] = options.factories
    .map((factory) => declared(factory, deps))
    .map((controller) => prepareController(controller, { client, informers, clock, random, log }));
  const loops = (options.loops ?? []).map((loop) => loop({ client, clock, random, events: recorder, log }));

  return {
    synced: (signal) => informers.synced(signal),
    stats: () => Object.fromEntries([...running, ...loops].map((each) => [each.name, each.stats()])),
    async warm(signal) {
      await Promise.all([informers.start(signal), ...loops.map((loop) => loop.warm(signal))]);
    },
    async run(signal) {
      try {
        await informers.synced(signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      log.info('Caches are filled', { controllers: running.map(({ name }) => name) });
      await Promise.all([recorder.run(signal), ...[...running, ...loops].map((each) => each.run(signal))]);
    },
  };
}
