/**
 * Dominant resource fairness, as in Mesos' hierarchical allocator: an agent's free resources go as a whole to the role with the
 * smallest dominant share, and in it to the framework with the smallest. Runs over all agents every interval, and soon after an event
 * that brings an agent or a demand. What was freed or declined waits for the interval.
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import {
  add,
  availableTo,
  type Bag,
  contains,
  emptyBag,
  isAllocatable,
  milliOf,
  scalarsOf,
  subtract,
  withoutRefined,
} from '../resources.ts';
import { orderRoles, type Standing, sorted } from './fair-order.ts';
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
  /** By role: what it has, and how often it was given something. */
  readonly #roles = new Map<string, Standing>();
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
    const { allocated, count } = this.#standing(role);
    this.#roles.set(role, { allocated: add(allocated, bag), count });
  }

  removeFromRole(role: string, bag: Bag): void {
    const { allocated, count } = this.#standing(role);
    this.#roles.set(role, { allocated: subtract(allocated, bag), count });
  }

  /** Asks for an allocation soon: of one agent that came, or of all when somebody began to want. */
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
      if (agent.session === undefined || agent.free.size === 0 || !this.#view.mayOffer(agent)) continue;
      this.#allocateAgent(agent, now);
    }
    this.#flush();
  }

  #allocateAgent(agent: Agent, now: number): void {
    for (const [role, frameworks] of this.#wanting()) {
      const limits = this.#view.quota.get(role)?.limits;
      const bag = withinQuota(limits, this.#standing(role).allocated, availableTo(agent.free, role));
      if (bag.size === 0) continue;
      for (const framework of this.#inNeed(role, frameworks)) {
        const offered = offerable(framework, agent, role, bag);
        if (offered === undefined || isFiltered(framework, role, agent.id, offered, now)) continue;
        this.#count(role, framework);
        this.#grant(framework, agent, role, offered);
        break;
      }
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
    const weightOf = (path: string) => this.#view.weights.get(path) ?? 1;
    const order = orderRoles([...wanting.keys()], this.#roles, { totals: scalarsOf(this.#total), weightOf });
    return order.map((role) => [role, wanting.get(role)!]);
  }

  #inNeed(role: string, frameworks: readonly Framework[]): readonly Framework[] {
    if (frameworks.length < 2) return frameworks;
    const byId = new Map(frameworks.map((framework) => [framework.id, framework]));
    const standingOf = (id: string) => ({
      allocated: allocatedOf(byId.get(id)!, role),
      count: byId.get(id)!.grants.get(role) ?? 0,
    });
    const measures = { totals: scalarsOf(this.#total), weightOf: () => 1 };
    return sorted([...byId.keys()], standingOf, measures).map((id) => byId.get(id)!);
  }

  #standing(role: string): Standing {
    return this.#roles.get(role) ?? { allocated: emptyBag, count: 0 };
  }

  #count(role: string, { grants }: Framework): void {
    const { allocated, count } = this.#standing(role);
    this.#roles.set(role, { allocated, count: count + 1 });
    grants.set(role, (grants.get(role) ?? 0) + 1);
  }
}

/** What the framework can understand of `bag` and finds worth an offer; undefined if nothing. */
export function offerable(framework: Framework, agent: Agent, role: string, bag: Bag): Bag | undefined {
  const { capabilities, constraints, info } = framework;
  // Machines with GPUs are kept for those who know them (--filter_gpu_resources).
  if (milliOf(agent.total, 'gpus') > 0 && !capabilities.has('GPU_RESOURCES')) return undefined;
  if (constraints.get(role)?.(agent) === false) return undefined;
  const known = capabilities.has('RESERVATION_REFINEMENT') ? bag : withoutRefined(bag);
  return isAllocatable(known, info.offer_filters?.[role]?.min_allocatable_resources?.quantities) ? known : undefined;
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
