/**
 * Runs one controller: informers make keys due, workers reconcile them. A key never runs twice at once (queue.ts), and never on
 * caches that are older than what its own last run wrote: such a run would decide again what it has already done.
 */
import { type KubeObject, keyOf, type ObjectWithStatus } from '#lib/api/meta.ts';
import type { Cache } from '#lib/client/cache.ts';
import type { Client } from '#lib/client/client.ts';
import type { Change } from '#lib/client/informer.ts';
import type { Informers } from '#lib/client/informers.ts';
import type { Clock } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { AnyController } from './deps.ts';
import { type QueueStats, WorkQueue } from './queue.ts';
import { type Result, reconcile } from './reconcile.ts';
import { notingWrites, type WriteLog } from './write-log.ts';

export interface RunDeps {
  /** Notes what it writes (write-log.ts). */
  readonly client: Client;
  readonly informers: Informers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface ControllerStats extends QueueStats {
  readonly runs: number;
  readonly retries: number;
  /** Milliseconds in runs, all together. */
  readonly busyMs: number;
}

export interface RunningController {
  readonly name: string;
  stats(): ControllerStats;
  /** Works until the signal aborts and the runs under way have ended. Call once. */
  run(signal: AbortSignal): Promise<void>;
}

/** One run may take this long; then its signal aborts and it is tried again. */
const runTimeoutMs = 60_000;
/** Objects that nothing happens to are looked at this often all the same, in case a trigger is missing somewhere. */
const resyncMs = 600_000;
/** How long to wait for a cache that is behind: it is a matter of milliseconds, or of a broken watch. */
const staleFirstMs = 5;
const staleMaxMs = 1_000;
const defaultConcurrency = 4;

/** Subscribes the controller to its triggers; call before the informers start. */
export function prepareController(controller: AnyController, deps: RunDeps): RunningController {
  const worker = new Worker(controller, deps);
  return {
    name: controller.name,
    stats: () => worker.stats,
    run: (signal) => worker.run(signal),
  };
}

class Worker {
  readonly #controller: AnyController;
  readonly #deps: RunDeps;
  readonly #queue: WorkQueue;
  readonly #cache: Cache<KubeObject>;
  /** What the last run of a key wrote, until the caches have seen it; `waits` counts how often it had to wait for them. */
  readonly #unseen = new Map<string, { readonly writes: WriteLog; readonly waits: number }>();
  /** When each last run ended, of controllers with a pace. */
  readonly #ranMs = new Map<string, number>();
  #runs = 0;
  #retries = 0;
  #busyMs = 0;

  constructor(controller: AnyController, deps: RunDeps) {
    this.#controller = controller;
    this.#deps = { ...deps, log: deps.log.child({ controller: controller.name }) };
    this.#queue = new WorkQueue(deps.clock, deps.random);
    const informer = deps.informers.of(controller.for);
    this.#cache = informer.cache();
    informer.onChange((change) => this.#queue.add(keyOf(change.object), priorityOf(change)));
    for (const { kind, map, isNews } of controller.triggers)
      deps.informers.of(kind).onChange((change) => {
        if (change.type === 'changed' && isNews?.(change.old, change.object) === false) return;
        const before = change.type === 'changed' ? map(change.old) : [];
        // Each once: a worker may take it at once, and would do it again for the second.
        for (const key of new Set([...map(change.object), ...before])) this.#triggered(key, priorityOf(change));
      });
  }

  get stats(): ControllerStats {
    return { ...this.#queue.stats, runs: this.#runs, retries: this.#retries, busyMs: this.#busyMs };
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#queue.close(), { once: true });
    if (signal.aborted) this.#queue.close();
    const workers = Array.from({ length: this.#controller.concurrency ?? defaultConcurrency }, () =>
      this.#work(signal),
    );
    await Promise.all(workers);
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (let key = await this.#queue.next(); key !== undefined; key = await this.#queue.next()) {
      const object = this.#cache.get(key);
      if (!object) this.#forget(key);
      else if (this.#isBehind(key)) this.#waitForCaches(key);
      else await this.#reconcile(key, object, signal);
      this.#queue.done(key);
    }
  }

  #triggered(key: string, priority: 'high' | 'low'): void {
    const { triggerPaceMs = 0 } = this.#controller;
    const waitMs = triggerPaceMs - (this.#deps.clock.monotonic() - (this.#ranMs.get(key) ?? Number.NEGATIVE_INFINITY));
    if (waitMs > 0) this.#queue.addAfter(key, waitMs);
    else this.#queue.add(key, priority);
  }

  #forget(key: string): void {
    this.#queue.forget(key);
    this.#unseen.delete(key);
    this.#ranMs.delete(key);
  }

  #isBehind(key: string): boolean {
    for (const { kind, revision } of this.#unseen.get(key)?.writes.values() ?? []) {
      const informer = this.#deps.informers.known(kind);
      if (informer && informer.revision < revision) return true;
    }
    return false;
  }

  #waitForCaches(key: string): void {
    const { writes, waits } = this.#unseen.get(key)!;
    this.#unseen.set(key, { writes, waits: waits + 1 });
    this.#queue.addAfter(key, Math.min(staleMaxMs, staleFirstMs * 2 ** Math.min(waits, 10)));
  }

  async #reconcile(key: string, object: ObjectWithStatus, signal: AbortSignal): Promise<void> {
    const { clock, client, log } = this.#deps;
    const writes: WriteLog = new Map();
    const startedMs = clock.monotonic();
    using late = deadline(clock, runTimeoutMs, `Reconcile of ${key}`, signal);
    const run = { signal: late.signal, log: log.child({ key }), nowMs: clock.now() };
    const result = await notingWrites(writes, () => reconcile(this.#controller, client, object, run));
    this.#runs += 1;
    this.#busyMs += clock.monotonic() - startedMs;
    if (this.#controller.triggerPaceMs) this.#ranMs.set(key, clock.monotonic());
    if (writes.size > 0) this.#unseen.set(key, { writes, waits: 0 });
    else this.#unseen.delete(key);
    this.#schedule(key, result);
  }

  #schedule(key: string, result: Result): void {
    if (result.next === 'retry') {
      this.#retries += 1;
      this.#queue.retry(key);
      return;
    }
    this.#queue.forget(key);
    const spreadMs = resyncMs * (0.9 + 0.2 * this.#deps.random.next());
    this.#queue.addAfter(key, result.next === 'again' ? Math.max(1, result.afterMs) : spreadMs);
  }
}

/** Real changes go before what the first list brought. */
function priorityOf(change: Change<KubeObject>): 'high' | 'low' {
  return change.type === 'added' && change.initial ? 'low' : 'high';
}
