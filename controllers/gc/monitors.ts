/**
 * One informer, of metadata only, for every kind that discovery lists, whenever it came to be there. A kind that went away is forgotten:
 * its objects count as gone, so that they hold up nothing.
 */
import { CustomResourceDefinition } from '#lib/api/core.ts';
import { apiVersionOf, type Kind, type KubeObject } from '#lib/api/meta.ts';
import type { Client, ServedKind } from '#lib/client/client.ts';
import { type Change, Informer } from '#lib/client/informer.ts';
import { kindId } from '#lib/client/kind-id.ts';
import { type BackoffOptions, backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { collectable } from './kinds.ts';

export interface MonitorsDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heard: (kind: Kind, change: Change<KubeObject>) => void;
  /** The kinds are others than before: a reference that meant nothing may mean something now. */
  readonly changed: () => void;
}

/** As upstream; a changed definition is noticed at once. */
const refreshMs = 30_000;
/** Changes to definitions come in groups. */
const settleMs = 500;
const definitions = kindId(CustomResourceDefinition);
/** After a discovery that failed: the server may be starting. */
const backoff: BackoffOptions = { firstMs: 500, maxMs: refreshMs };

interface Monitor {
  readonly kind: ServedKind;
  readonly informer: Informer<KubeObject>;
  readonly stop: AbortController;
}

export class Monitors {
  readonly #deps: MonitorsDeps;
  /** By kind id. */
  readonly #monitors = new Map<string, Monitor>();
  readonly #running = new Set<Promise<void>>();
  readonly #first = Promise.withResolvers<void>();
  #served: readonly ServedKind[] = [];
  #wake = new AbortController();

  constructor(deps: MonitorsDeps) {
    this.#deps = deps;
  }

  /** The kinds that are watched. */
  get kinds(): readonly Kind[] {
    return [...this.#monitors.values()].map(({ kind }) => kind);
  }

  resolve(apiVersion: string, kind: string): Kind | undefined {
    return this.#served.find((served) => served.kind === kind && apiVersionOf(served) === apiVersion);
  }

  /** Resolves when every kind that is known by now has the first list. */
  async synced(): Promise<void> {
    await this.#first.promise;
    await Promise.all([...this.#monitors.values()].map(({ informer }) => informer.synced()));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    for (let failures = 0; !signal.aborted; ) {
      this.#wake = new AbortController();
      const woken = AbortSignal.any([signal, this.#wake.signal]);
      failures = (await this.#refresh(signal)) ? 0 : failures + 1;
      // Rejects only by one of the signals, which the loop looks at.
      await clock
        .sleep(failures === 0 ? refreshMs : backoffMs(failures, backoff, random), woken)
        .catch(() => undefined);
      if (this.#wake.signal.aborted) await clock.sleep(settleMs, signal).catch(() => undefined);
    }
    for (const { stop } of this.#monitors.values()) stop.abort(signal.reason);
    await Promise.all(this.#running);
  }

  /** False if nothing could be learned. */
  async #refresh(signal: AbortSignal): Promise<boolean> {
    const { client, log } = this.#deps;
    try {
      const { kinds, failed } = await client.discover({ signal });
      if (failed.length > 0) log.warn('Some kinds cannot be discovered now', { failed });
      const before = this.#identity();
      this.#served = [...kinds, ...this.#served.filter((kind) => failed.includes(apiVersionOf(kind)))];
      this.#adjust(signal);
      this.#first.resolve();
      if (this.#identity() !== before) this.#deps.changed();
      return true;
    } catch (error) {
      if (!signal.aborted) log.warn('Cannot discover kinds now', { error: messageOf(error) });
      return false;
    }
  }

  #identity(): string {
    return this.#served.map((kind) => `${apiVersionOf(kind)}/${kind.plural}`).join();
  }

  #adjust(signal: AbortSignal): void {
    const wanted = new Map(collectable(this.#served).map((kind) => [kindId(kind), kind]));
    for (const [id, { kind }] of this.#monitors) if (wanted.get(id)?.version !== kind.version) this.#end(id);
    for (const [id, kind] of wanted) if (!this.#monitors.has(id)) this.#begin(id, kind, signal);
  }

  #begin(id: string, served: ServedKind, signal: AbortSignal): void {
    const kind = { ...served, metadataOnly: true };
    const informer = new Informer<KubeObject>(kind, { ...this.#deps, trim });
    informer.onChange((change) => {
      this.#deps.heard(kind, change);
      if (id === definitions) this.#wake.abort();
    });
    const stop = new AbortController();
    this.#monitors.set(id, { kind, informer, stop });
    const running = informer.run(AbortSignal.any([signal, stop.signal])).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #end(id: string): void {
    const { kind, informer, stop } = this.#monitors.get(id)!;
    this.#monitors.delete(id);
    stop.abort(new Error(`${kind.kind} is no longer served`));
    for (const object of informer.cache().list())
      this.#deps.heard(kind, { type: 'deleted', object, finalStateUnknown: true });
  }
}

/** What the graph is made of. Annotations are often the largest part of metadata, and there are objects of every kind. */
function trim({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { labels: _, annotations: __, generateName: ___, ...rest } = metadata;
  return { apiVersion, kind, metadata: rest };
}
