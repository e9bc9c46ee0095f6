/**
 * The hosts that one set of rules and needs allows, and that are ready, in parts: hosts of one part have the same values for every label that
 * counted rules look at, so that such a rule is judged once for a part and not for each of its hosts.
 */
import { hostValue, isHostKey, type Rules } from '#lib/api/placement-rules.ts';
import { type Accept, HostIndex } from './host-index.ts';
import type { HostView } from './ledger.ts';
import { isMetBy, lackOf, type Needs } from './needs.ts';
import type { Reaches } from './reaches.ts';
import type { Room } from './room.ts';

export interface Part {
  /** Key -> value, for every key that is not the host itself. */
  readonly values: ReadonlyMap<string, string | undefined>;
  /** How much its hosts are wished for. */
  readonly score: number;
  /** Its hosts have told that they have what is needed; of others nobody knows. */
  readonly isSure: boolean;
  readonly index: HostIndex;
  hosts: number;
}

export interface CandidatesOptions {
  readonly rules: Rules;
  /** Labels that counted rules look at. */
  readonly keys: readonly string[];
  readonly needs: Needs | undefined;
  readonly reaches: Reaches;
}

export class Candidates {
  readonly #rules: Rules;
  readonly #keys: readonly string[];
  readonly #parts = new Map<string, Part>();
  readonly #needs: Needs | undefined;
  readonly #reaches: Reaches;
  /** Forgotten when a part comes or goes. */
  #tiers: readonly (readonly Part[])[] | undefined;
  readonly #partOf = new Map<string, { readonly id: string; readonly part: Part }>();
  /** Those that are sure, and busy. Empty where nothing is needed. */
  readonly #soon = new HostIndex();
  /** Key -> its values, forgotten when a part comes or goes. */
  readonly #values = new Map<string, ReadonlySet<string>>();
  /** Place in the changes up to which this is up to date. */
  upTo = 0;
  /** The same in the changes of what hosts have told to have. */
  reachesUpTo = 0;

  constructor({ rules, keys, needs, reaches }: CandidatesOptions) {
    this.#rules = rules;
    this.#keys = keys.filter((key) => !isHostKey(key));
    this.#needs = needs;
    this.#reaches = reaches;
  }

  set(hostname: string, view: HostView | undefined): void {
    const isReady = view?.host.readiness === 'Ready' && this.#rules.allows(view.host);
    const isIn = isReady && !view.isBusy && !this.#lacks(hostname);
    const values = isIn ? this.#keys.map((key) => hostValue(view.host, key)) : [];
    const score = isIn ? this.#rules.score(view.host) : 0;
    const isSure = !this.#needs || isMetBy(this.#needs, this.#reaches.get(hostname));
    if (this.#needs) this.#soon.set(hostname, isReady && view.isBusy && isSure ? view : undefined);
    const id = isIn ? JSON.stringify([isSure, score, ...values]) : undefined;
    const old = this.#partOf.get(hostname);
    if (old && old.id !== id) this.#remove(hostname, old);
    if (id === undefined) return;
    const part = this.#parts.get(id) ?? this.#addPart(id, { score, isSure }, values);
    if (old?.id !== id) {
      this.#partOf.set(hostname, { id, part });
      part.hosts++;
    }
    part.index.set(hostname, view);
  }

  /** Those of which it is sure that they can carry the machine come before all others; within either those that are wished for most. */
  tiers(): readonly (readonly Part[])[] {
    if (!this.#tiers) {
      const sorted = [...this.#parts.values()].sort((a, b) => b.score - a.score);
      const unsure = sorted.filter(({ isSure }) => !isSure);
      this.#tiers = unsure.length === 0 ? [sorted] : [sorted.filter(({ isSure }) => isSure), unsure];
    }
    return this.#tiers;
  }

  /**
   * A host that is sure to carry the machine has room for it, and takes it once one of those that start there is up: better to wait for that
   * than to try one of which nobody knows.
   */
  isSureSoon(room: Room, accept: Accept): boolean {
    return this.#soon.bestFit(room, accept) !== undefined;
  }

  /** Values that a machine could be given for this key, were there room everywhere. */
  values(key: string): ReadonlySet<string> | ReadonlyMap<string, unknown> {
    if (isHostKey(key)) return this.#partOf;
    const known =
      this.#values.get(key) ?? new Set([...this.#parts.values()].flatMap(({ values }) => values.get(key) ?? []));
    this.#values.set(key, known);
    return known;
  }

  #lacks(hostname: string): boolean {
    return this.#needs !== undefined && lackOf(this.#needs, this.#reaches.get(hostname)) !== undefined;
  }

  #addPart(id: string, worth: Pick<Part, 'score' | 'isSure'>, values: readonly (string | undefined)[]): Part {
    const part: Part = {
      values: new Map(this.#keys.map((key, index) => [key, values[index]])),
      ...worth,
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
    this.#tiers = undefined;
    this.#values.clear();
  }
}
