/**
 * The hosts that one set of rules allows, and that are ready, in parts: hosts of one part have the same values for every label that counted
 * rules look at, so that such a rule is judged once for a part and not for each of its hosts.
 */
import { hostValue, isHostKey, type Rules } from '#lib/api/placement-rules.ts';
import { HostIndex } from './host-index.ts';
import type { HostView } from './ledger.ts';

export interface Part {
  /** Key -> value, for every key that is not the host itself. */
  readonly values: ReadonlyMap<string, string | undefined>;
  /** How much its hosts are wished for. */
  readonly score: number;
  readonly index: HostIndex;
  hosts: number;
}

export class Candidates {
  readonly #rules: Rules;
  readonly #keys: readonly string[];
  readonly #parts = new Map<string, Part>();
  /** Forgotten when a part comes or goes. */
  #sorted: readonly Part[] | undefined;
  readonly #partOf = new Map<string, { readonly id: string; readonly part: Part }>();
  /** Key -> its values, forgotten when a part comes or goes. */
  readonly #values = new Map<string, ReadonlySet<string>>();
  /** Place in the changes up to which this is up to date. */
  upTo = 0;

  constructor(rules: Rules, keys: readonly string[]) {
    this.#rules = rules;
    this.#keys = keys.filter((key) => !isHostKey(key));
  }

  set(hostname: string, view: HostView | undefined): void {
    const isIn = view?.host.readiness === 'Ready' && !view.isBusy && this.#rules.allows(view.host);
    const values = isIn ? this.#keys.map((key) => hostValue(view.host, key)) : [];
    const score = isIn ? this.#rules.score(view.host) : 0;
    const id = isIn ? JSON.stringify([score, ...values]) : undefined;
    const old = this.#partOf.get(hostname);
    if (old && old.id !== id) this.#remove(hostname, old);
    if (id === undefined) return;
    const part = this.#parts.get(id) ?? this.#addPart(id, score, values);
    if (old?.id !== id) {
      this.#partOf.set(hostname, { id, part });
      part.hosts++;
    }
    part.index.set(hostname, view);
  }

  /** Those that are wished for most come first. */
  parts(): readonly Part[] {
    this.#sorted ??= [...this.#parts.values()].sort((a, b) => b.score - a.score);
    return this.#sorted;
  }

  /** Values that a machine could be given for this key, were there room everywhere. */
  values(key: string): ReadonlySet<string> | ReadonlyMap<string, unknown> {
    if (isHostKey(key)) return this.#partOf;
    const known =
      this.#values.get(key) ?? new Set([...this.#parts.values()].flatMap(({ values }) => values.get(key) ?? []));
    this.#values.set(key, known);
    return known;
  }

  #addPart(id: string, score: number, values: readonly (string | undefined)[]): Part {
    const part: Part = {
      values: new Map(this.#keys.map((key, index) => [key, values[index]])),
      score,
      index: new HostIndex(),
      hosts: 0,
    };
    this.#parts.set(id, part);
    this.#forget();
    return part;
  }

  #remove(hostname: string, { id, part }: { readonly id: string; readonly part: Part }): void {
    part.index.set(hostname, undefined);
    this.#partOf.delete(hostname);
    part.hosts--;
    if (part.hosts > 0) return;
    this.#parts.delete(id);
    this.#forget();
  }

  #forget(): void {
    this.#sorted = undefined;
    this.#values.clear();
  }
}
