/**
 * Dominant resource fairness, as in Mesos' hierarchical allocator: an agent's free resources go as a whole to the role with the
 * smallest dominant share, and in it to the framework with the smallest. Runs over all agents every interval, and soon after an event
 * that makes room or demand.
 *
 * One knowing difference: resources freed by tasks and executors that ended are offered within the delay of a batch, where Mesos waits
 * for the next interval. Declined resources wait for the interval as in Mesos, or DECLINE with refuse_seconds 0 would spin.
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import { add, availableTo, type Bag, contains, emptyBag, isAllocatable, scalarsOf, subtract } from '../resources.ts';
import { withinQuota } from './quota.ts';
import type { QuotaConfig } from './registry.ts';
import { type Agent, allocatedOf, type Framework } from './state.ts';

export interface AllocatorView {
  readonly agents: ReadonlyMap<string, Agent>;
  readonly frameworks: ReadonlyMap<string, Framework>;
  /** False: deactivated by an operator. */
  readonly mayOffer: (agent: Agent) => boolean;
  readonly weights: ReadonlyMap<string, number>;
  readonly quota: ReadonlyMap<string, QuotaConfig>;
}

/** Makes one offer. Called for each agent in the order of allocation; must book what it offers at once. */
export type Grant = (framework: Framework, agent: Agent, role: string, bag: Bag) => void;

export interface AllocatorTiming {
  readonly clock: Clock;
  readonly random: Random;
  readonly intervalMs: number;
  readonly delayMs: number;
}

export class Allocator implements Disposable {
  readonly #view: AllocatorView;
  readonly #timing: AllocatorTiming;
  readonly #grant: Grant;
  /** Called after each run: what was granted can be sent together. */
  readonly #flush: () => void;
  readonly #roles = new Map<string, Bag>();
  /** All of the cluster's scalars, in thousandths. */
  #total: Bag = emptyBag;
  readonly #dirty = new Set<string>();
  #soon: Disposable | undefined;
  #regular: Disposable;

  constructor(view: AllocatorView, timing: AllocatorTiming, grant: Grant, flush: () => void) {
    this.#view = view;
    this.#timing = timing;
    this.#grant = grant;
    this.#flush = flush;
    this.#regular = this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#regular[Symbol.dispose]();
    this.#soon?.[Symbol.dispose]();
  }

  addTotal(bag: Bag): void {
    this.#total = add(this.#total, bag);
  }

  removeTotal(bag: Bag): void {
    this.#total = subtract(this.#total, bag);
  }

  addToRole(role: string, bag: Bag): void {
    this.#roles.set(role, add(this.#roles.get(role) ?? emptyBag, bag));
  }

  removeFromRole(role: string, bag: Bag): void {
    this.#roles.set(role, subtract(this.#roles.get(role) ?? emptyBag, bag));
  }

  /** Asks for an allocation soon: of one agent that has room, or of all when somebody began to want. */
  request(agent?: Agent): void {
    for (const id of agent === undefined ? this.#view.agents.keys() : [agent.id]) this.#dirty.add(id);
    this.#soon ??= this.#timing.clock.timeout(() => {
      this.#soon = undefined;
      const agents = [...this.#dirty].flatMap((id) => this.#view.agents.get(id) ?? []);
      this.#run(agents);
    }, this.#timing.delayMs);
  }

  #schedule(): Disposable {
    return this.#timing.clock.timeout(() => {
      this.#regular = this.#schedule();
      this.#run([...this.#view.agents.values()]);
    }, this.#timing.intervalMs);
  }

  #run(agents: Agent[]): void {
    this.#dirty.clear();
    const now = this.#timing.clock.monotonic();
    for (const agent of shuffle(agents, this.#timing.random)) {
      if (agent.session === undefined || !isAllocatable(agent.free) || !this.#view.mayOffer(agent)) continue;
      this.#allocateAgent(agent, now);
    }
    this.#flush();
  }

  #allocateAgent(agent: Agent, now: number): void {
    for (const [role, frameworks] of this.#wanting()) {
      const limits = this.#view.quota.get(role)?.limits;
      const bag = withinQuota(limits, this.#roles.get(role) ?? emptyBag, availableTo(agent.free, role));
      if (!isAllocatable(bag)) continue;
      const taker = this.#byShare(frameworks, (framework) => allocatedOf(framework, role)).find(
        (framework) => !isFiltered(framework, role, agent.id, bag, now),
      );
      if (taker !== undefined) this.#grant(taker, agent, role, bag);
    }
  }

  /** Roles that somebody connected wants offers for, most in need first. */
  #wanting(): [role: string, frameworks: Framework[]][] {
    const wanting = new Map<string, Framework[]>();
    for (const framework of this.#view.frameworks.values()) {
      if (framework.session === undefined) continue;
      for (const role of framework.roles) {
        if (framework.suppressed.has(role)) continue;
        const list = wanting.get(role);
        if (list === undefined) wanting.set(role, [framework]);
        else list.push(framework);
      }
    }
    const weightOf = ([role]: [string, Framework[]]) => this.#view.weights.get(role) ?? 1;
    return this.#byShare([...wanting], ([role]) => this.#roles.get(role) ?? emptyBag, weightOf);
  }

  #byShare<T>(items: readonly T[], bagOf: (item: T) => Bag, weightOf: (item: T) => number = () => 1): T[] {
    if (items.length < 2) return [...items];
    const totals = scalarsOf(this.#total);
    return items
      .map((item) => ({ item, share: dominantShare(bagOf(item), totals) / weightOf(item) }))
      .sort((a, b) => a.share - b.share)
      .map(({ item }) => item);
  }
}

/** The largest part that a bag is of any of the cluster's scalars, 0 to 1. */
export function dominantShare(bag: Bag, totals: ReadonlyMap<string, number>): number {
  let share = 0;
  for (const [name, milli] of scalarsOf(bag)) {
    const total = totals.get(name) ?? 0;
    if (total > 0) share = Math.max(share, milli / total);
  }
  return share;
}

export function filterKey(role: string, agentId: string): string {
  return `${role}\n${agentId}`;
}

/** A refusal holds for offers that contain nothing beyond what was refused; as soon as more is free, the agent is offered again. */
export function isFiltered(framework: Framework, role: string, agentId: string, bag: Bag, now: number): boolean {
  const key = filterKey(role, agentId);
  const filters = framework.filters.get(key);
  if (filters === undefined) return false;
  const current = filters.filter((filter) => filter.until > now);
  if (current.length === 0) framework.filters.delete(key);
  else if (current.length < filters.length) framework.filters.set(key, current);
  return current.some((filter) => contains(filter.refused, bag));
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
