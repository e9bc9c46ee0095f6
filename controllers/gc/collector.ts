/**
 * Kubernetes' garbage collector: deletes what lost its owners, for every kind that the server serves, also for those that come while it
 * runs. The graph of owners is filled by informers of metadata; whatever changes makes due what could be affected by it.
 */
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Change } from '#lib/client/informer.ts';
import { deadline } from '#lib/std/deadline.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { Loop, LoopDeps } from '../runtime/deps.ts';
import { type Priority, WorkQueue } from '../runtime/queue.ts';
import type { ControllerStats } from '../runtime/run-controller.ts';
import { collect } from './collect.ts';
import { isDeleting } from './graph.ts';
import { Monitors } from './monitors.ts';
import { OwnerStates } from './owner-state.ts';
import { type Node, Ownership } from './ownership.ts';

const workers = 8;
const runTimeoutMs = 60_000;
/** A kind whose objects cannot be listed must not keep all others waiting; owners of that kind are then asked for one by one. */
const syncTimeoutMs = 30_000;

export function garbageCollector(deps: LoopDeps): Loop {
  return new Collector(deps);
}

class Collector implements Loop {
  readonly name = 'garbage-collector';
  readonly #deps: LoopDeps;
  readonly #graph = new Ownership();
  readonly #monitors: Monitors;
  /** Of uids. */
  readonly #queue: WorkQueue;
  readonly #states: OwnerStates;
  #runs = 0;
  #retries = 0;
  #busyMs = 0;

  constructor(deps: LoopDeps) {
    const log = deps.log.child({ controller: this.name });
    this.#deps = { ...deps, log };
    this.#queue = new WorkQueue(deps.clock, deps.random);
    this.#monitors = new Monitors({
      ...this.#deps,
      heard: (kind, change) => this.#heard(kind, change),
      changed: () => this.#addAll(),
    });
    const resolve = (apiVersion: string, kind: string) => this.#monitors.resolve(apiVersion, kind);
    this.#states = new OwnerStates({ ...deps, owners: this.#graph, resolve });
  }

  stats(): ControllerStats {
    return { ...this.#queue.stats, runs: this.#runs, retries: this.#retries, busyMs: this.#busyMs };
  }

  warm(signal: AbortSignal): Promise<void> {
    return this.#monitors.run(signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#queue.close(), { once: true });
    if (signal.aborted) this.#queue.close();
    const { clock, log } = this.#deps;
    const late = new AbortController();
    const stopped = AbortSignal.any([signal, late.signal]);
    const waited = clock.sleep(syncTimeoutMs, stopped).then(
      () => log.warn('Not every kind could be listed; going on without', { afterMs: syncTimeoutMs }),
      () => undefined, // All were listed, or the work is over.
    );
    await Promise.race([this.#monitors.synced(), waited]);
    late.abort();
    await Promise.all(Array.from({ length: workers }, () => this.#work(signal)));
  }

  /** An owner that went or is going makes its dependents due; a dependent makes the owners due that wait for it. */
  #heard(kind: Kind, change: Change<KubeObject>): void {
    const { object, type } = change;
    const { uid } = object.metadata;
    if (type === 'deleted') this.#graph.delete(uid);
    else this.#graph.set({ kind, object });
    const priority = type === 'added' && change.initial ? 'low' : 'high';
    this.#add(uid, priority);
    for (const version of type === 'changed' ? [object, change.old] : [object])
      for (const owner of version.metadata.ownerReferences ?? []) this.#addIfDeleting(owner.uid, priority);
    if (type !== 'deleted' && !isDeleting(object)) return;
    for (const dependent of this.#graph.dependentsOf(uid)) this.#add(dependent.object.metadata.uid, priority);
  }

  #add(uid: string, priority: Priority): void {
    const { object } = this.#graph.find(uid) ?? {};
    if (object && (isDeleting(object) || object.metadata.ownerReferences?.length)) this.#queue.add(uid, priority);
  }

  #addIfDeleting(uid: string, priority: Priority): void {
    const owner = this.#graph.find(uid);
    if (owner && isDeleting(owner.object)) this.#queue.add(uid, priority);
  }

  #addAll(): void {
    for (const uid of this.#graph.uids()) this.#add(uid, 'low');
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (let uid = await this.#queue.next(); uid !== undefined; uid = await this.#queue.next()) {
      const node = this.#graph.find(uid);
      if (node) await this.#collect(uid, node, signal);
      else this.#queue.forget(uid);
      this.#queue.done(uid);
    }
  }

  async #collect(uid: string, node: Node, signal: AbortSignal): Promise<void> {
    const { client, clock, log } = this.#deps;
    using late = deadline(clock, runTimeoutMs, 'Collecting', signal);
    const run = { signal: late.signal, log, nowMs: clock.now() };
    const deps = { client, owners: this.#graph, states: this.#states, kinds: () => this.#monitors.kinds };
    const startedMs = clock.monotonic();
    try {
      const outcome = await collect(deps, node, run);
      this.#queue.forget(uid);
      if (!outcome.done && outcome.afterMs !== undefined) this.#queue.addAfter(uid, outcome.afterMs);
    } catch (error) {
      // The cache is behind, or the object has gone: the next run sees more.
      const expected = signal.aborted || isCode(error, 'Conflict', 'NotFound');
      const about = { kind: node.kind.kind, object: keyOf(node.object), error: messageOf(error) };
      log[expected ? 'debug' : 'warn']('Not collected now', about);
      this.#retries += 1;
      this.#queue.retry(uid);
    }
    this.#runs += 1;
    this.#busyMs += clock.monotonic() - startedMs;
  }
}
