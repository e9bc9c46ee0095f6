/**
 * A client that keeps a copy of the objects by list and watch, as informers do: it resumes from the last resourceVersion it got, by events
 * and by bookmarks, from any replica; it lists anew after a 410 and at no other time. Whatever contradicts its copy is noted.
 */

import { systemClock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { ApiBody, Replicas, WatchLine } from './replicas.ts';

export const maps = '/api/v1/namespaces/default/configmaps';

export interface WatcherOptions {
  readonly replicas: Replicas;
  readonly random: Random;
  /** Which replica to go to next. */
  readonly choose: () => number;
  /** How long one watch is to go on, in seconds, before the client goes elsewhere. */
  readonly watchSeconds: () => number;
  /** After how long the client breaks it off in the middle; never unless told. */
  readonly patienceMs?: () => number;
}

export class Watcher implements AsyncDisposable {
  readonly #options: WatcherOptions;
  readonly #over = new AbortController();
  readonly #running: Promise<void>;
  readonly copy = new Map<string, string>();
  /** What must not be: an event that does not fit the copy, a revision that goes down or comes twice. */
  readonly wrong: string[] = [];
  /** Revisions of all events, and from where to where lists led. */
  readonly heard = new Set<bigint>();
  readonly listed: { readonly from: bigint; readonly to: bigint }[] = [];
  /** Servers and etcd are being tormented, so failures are normal; but the last one may explain a copy that stays behind. */
  lastFailure: unknown;
  resumed = 0;
  expired = 0;
  bookmarks = 0;
  #rev = 0n;
  #lost = true;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get rev(): bigint {
    return this.#rev;
  }

  /** Whether it knows of the write with this revision. */
  knows(rev: bigint): boolean {
    return this.heard.has(rev) || this.listed.some(({ from, to }) => rev > from && rev <= to);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { choose, random } = this.#options;
    while (!this.#over.signal.aborted) {
      const replica = choose();
      try {
        if (!this.#lost) this.resumed++;
        else if (random.next() < 0.5) await this.#list(replica);
        await this.#watch(replica);
      } catch (error) {
        this.lastFailure = error;
        await systemClock.sleep(50 + 100 * random.next());
      }
    }
  }

  async #list(replica: number): Promise<void> {
    const { status, body } = await this.#options.replicas.call(replica, 'GET', maps);
    if (status !== 200) throw new Error(`The list was refused with ${status}`);
    this.#replace(new Map(body.items!.map((item) => [item.metadata.name!, textOf(item)])), revOf(body));
  }

  /** From where it is; or with the whole state first, if it has none. */
  async #watch(replica: number): Promise<void> {
    const { replicas, watchSeconds, patienceMs } = this.#options;
    const initial = this.#lost ? new Map<string, string>() : undefined;
    const query = new URLSearchParams({
      watch: 'true',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(watchSeconds()),
    });
    if (!initial) query.set('resourceVersion', String(this.#rev));
    else for (const [key, value] of streamedList) query.set(key, value);
    let first = initial;
    const over = this.#over.signal;
    const signal = patienceMs ? AbortSignal.any([over, AbortSignal.timeout(Math.ceil(patienceMs()))]) : over;
    for await (const line of replicas.watch(replica, `${maps}?${query}`, signal)) {
      if (!first) this.#take(line);
      else if (line.type === 'ADDED') first.set(line.object.metadata.name!, textOf(line.object));
      else if (line.object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true') {
        this.#replace(first, revOf(line.object));
        first = undefined;
      } else this.wrong.push(`${line.type} amid the initial events`);
    }
  }

  #replace(state: Map<string, string>, rev: bigint): void {
    if (rev < this.#rev) this.wrong.push(`a list at ${rev} after ${this.#rev}`);
    this.listed.push({ from: this.#rev, to: rev });
    this.copy.clear();
    for (const [name, text] of state) this.copy.set(name, text);
    this.#rev = rev;
    this.#lost = false;
  }

  #take({ type, object }: WatchLine): void {
    if (type === 'ERROR') {
      if (object.code !== 410) this.wrong.push(`an error that is no 410: ${JSON.stringify(object)}`);
      this.expired++;
      this.#lost = true;
      return;
    }
    const rev = revOf(object);
    if (type === 'BOOKMARK') {
      if (rev < this.#rev) this.wrong.push(`a bookmark at ${rev} after ${this.#rev}`);
      this.bookmarks++;
    } else this.#change(type, object, rev);
    this.#rev = rev;
  }

  #change(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: ApiBody, rev: bigint): void {
    const name = object.metadata.name!;
    if (rev <= this.#rev) this.wrong.push(`${type} ${name} at ${rev} after ${this.#rev}`);
    if (this.copy.has(name) !== (type !== 'ADDED')) this.wrong.push(`${type} ${name} at ${rev} does not fit the copy`);
    this.heard.add(rev);
    if (type === 'DELETED') this.copy.delete(name);
    else this.copy.set(name, textOf(object));
  }
}

const streamedList = [
  ['sendInitialEvents', 'true'],
  ['resourceVersionMatch', 'NotOlderThan'],
] as const;

export function textOf(object: ApiBody): string {
  return `${object.metadata.resourceVersion} ${object.data?.value}`;
}

export function revOf(object: ApiBody): bigint {
  return BigInt(object.metadata.resourceVersion!);
}
