/**
 * Writers and readers of ConfigMaps through all replicas at once. Registers are few objects that many fight over; what each operation
 * said is remembered for the checker. The ledger is objects that are created once, so that an acknowledged one that is gone shows.
 */
import { setMaxListeners } from 'node:events';
import { systemClock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { Action, Operation, Value } from './linearizability.ts';
import type { Answer, ApiBody, Replicas } from './replicas.ts';
import { maps, revOf } from './watcher.ts';

const registers = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5'];
const pauseMs = 10;

interface Known {
  readonly value: string;
  readonly resourceVersion: string;
}

export class Load implements AsyncDisposable {
  readonly #replicas: Replicas;
  readonly #random: Random;
  readonly #over = new AbortController();
  readonly #running: Promise<unknown>;
  readonly #prefix: string;
  readonly history = new Map<string, Operation[]>();
  /** Acknowledged creations in the ledger. */
  readonly ledger = new Set<string>();
  /** Revisions of all acknowledged writes but deletions, whose answers do not tell it. */
  readonly written: bigint[] = [];
  readonly statuses = new Map<string, number>();
  /** Answers that no client should get. */
  readonly unclean: string[] = [];
  #writes = 0;

  /** `prefix` keeps the values of two loads on one etcd apart. */
  constructor(replicas: Replicas, random: Random, prefix = 'x') {
    this.#replicas = replicas;
    this.#random = random;
    this.#prefix = prefix;
    setMaxListeners(0, this.#over.signal);
    const writers = Array.from({ length: 6 }, () => this.#repeat(() => this.#fight()));
    const readers = Array.from({ length: 2 }, () => this.#repeat(() => this.#look()));
    const creators = Array.from({ length: 2 }, () => this.#repeat(() => this.#enter()));
    this.#running = Promise.all([...writers, ...readers, ...creators]);
  }

  /** Waits for the next acknowledged write, and says how long that took. */
  async recovery(withinMs = 60_000): Promise<number> {
    const startMs = systemClock.monotonic();
    const before = this.written.length;
    while (this.written.length === before) {
      if (systemClock.monotonic() - startMs > withinMs) throw new Error(`No write was taken for ${withinMs} ms`);
      await systemClock.sleep(10);
    }
    return systemClock.monotonic() - startMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #repeat(work: () => Promise<void>): Promise<void> {
    while (!this.#over.signal.aborted) {
      await work();
      await systemClock.sleep(pauseMs * (0.5 + this.#random.next()));
    }
  }

  /** Reads a register and changes what it found, or now and then what it found long ago. */
  async #fight(): Promise<void> {
    const name = this.#pick(registers);
    const found = await this.#read(name);
    if (!found) return;
    const old = found.known;
    const value = `${this.#prefix}${++this.#writes}`;
    if (!old) await this.#write(name, 'POST', maps, undefined, value);
    else if (this.#random.next() < 0.15) await this.#write(name, 'DELETE', `${maps}/${name}`, old, undefined);
    else await this.#write(name, 'PUT', `${maps}/${name}`, old, value);
  }

  async #look(): Promise<void> {
    if (this.#random.next() < 0.7) await this.#read(this.#pick(registers));
    else await this.#list();
  }

  async #enter(): Promise<void> {
    const name = `ledger-${this.#prefix}${++this.#writes}`;
    const answer = await this.#call('POST', maps, mapOf(name, 'kept', undefined));
    if (answer?.status !== 201) return;
    this.ledger.add(name);
    this.#wrote(answer);
  }

  async #read(name: string): Promise<{ readonly known: Known | undefined } | undefined> {
    const callMs = systemClock.monotonic();
    const answer = await this.#call('GET', `${maps}/${name}`);
    if (answer?.status !== 200 && answer?.status !== 404) return undefined;
    const known = answer.status === 404 ? undefined : knownOf(answer.body);
    this.#note(name, callMs, { type: 'read', value: known?.value });
    return { known };
  }

  async #list(): Promise<void> {
    const callMs = systemClock.monotonic();
    const answer = await this.#call('GET', maps);
    if (answer?.status !== 200) return;
    const values = new Map(answer.body.items!.map((item) => [item.metadata.name!, knownOf(item).value]));
    for (const name of registers) this.#note(name, callMs, { type: 'read', value: values.get(name) });
  }

  async #write(name: string, method: string, path: string, old: Known | undefined, to: Value): Promise<void> {
    const from = old?.value;
    const callMs = systemClock.monotonic();
    const preconditions = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      preconditions: { resourceVersion: old?.resourceVersion },
    };
    const answer = await this.#call(
      method,
      path,
      to === undefined ? preconditions : mapOf(name, to, old?.resourceVersion),
    );
    const { status } = answer ?? { status: 0 };
    if (answer && status < 300) {
      this.#note(name, callMs, { type: 'changed', from, to });
      if (method !== 'DELETE') this.#wrote(answer);
    } else if (status === 409 || status === 404) this.#note(name, callMs, { type: 'refused', from });
    else if (status === 0 || status === 504) this.#note(name, callMs, { type: 'unknown', from, to });
    // All others say that nothing was done; if that is not so, the checker will find out.
  }

  #note(name: string, callMs: number, action: Action): void {
    const returnMs = action.type === 'unknown' ? Infinity : systemClock.monotonic();
    const operations = this.history.get(name) ?? [];
    operations.push({ action, callMs, returnMs });
    this.history.set(name, operations);
  }

  #wrote({ body }: Answer): void {
    this.written.push(revOf(body));
  }

  /** What the registers are, by their names. */
  async registers(): Promise<Map<string, Value>> {
    const { body } = await this.#replicas.call(0, 'GET', maps);
    return new Map(body.items!.map((item) => [item.metadata.name!, knownOf(item).value]));
  }

  /** Undefined if there was no answer. */
  async #call(method: string, path: string, body?: object): Promise<Answer | undefined> {
    const replica = Math.floor(this.#random.next() * this.#replicas.count);
    try {
      const answer = await this.#replicas.call(replica, method, path, body);
      this.#count(answer.status < 400 ? 'ok' : `${answer.status} ${answer.body.reason}`);
      if (answer.status >= 400 && !isClean(answer)) this.unclean.push(JSON.stringify(answer));
      return answer;
    } catch (error) {
      this.#count(`no answer`);
      this.unclean.push(`${method} ${path}: ${error}`);
      return undefined;
    }
  }

  #count(what: string): void {
    this.statuses.set(what, (this.statuses.get(what) ?? 0) + 1);
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random.next() * items.length)]!;
  }
}

const expected = new Set([404, 409, 429, 500, 503, 504]);

/** A Status that says what it is, not the server's way of saying that it has a fault itself. */
function isClean({ status, body }: Answer): boolean {
  const { kind, message, reason, code } = body;
  const owned = message !== undefined && !message.startsWith('Internal error:');
  return expected.has(status) && kind === 'Status' && code === status && owned && reason !== undefined;
}

function mapOf(name: string, value: string, resourceVersion: string | undefined): object {
  const metadata = { name, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { value } };
}

function knownOf(body: ApiBody): Known {
  return { value: body.data!.value!, resourceVersion: body.metadata.resourceVersion! };
}
