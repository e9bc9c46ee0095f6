/**
 * Tasks and domains that carry our mark and belong to no machine. Removed only when that is certain: they have been there for a while,
 * and a full list of the attempts of this cluster, made after that, does not claim them. A list that is suddenly almost empty must not become a mass kill.
 */
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { parseTaskId } from '#lib/api/names.ts';
import { attemptsOf } from './selections.ts';
import { isDead } from './task-book.ts';
import type { World } from './world.ts';

export interface OrphanOptions {
  /** How often is looked. */
  readonly periodMs: number;
  /** A task that nobody claims is left alone for so long. */
  readonly taskGraceMs: number;
  /** Likewise a domain; its task is dead already. */
  readonly domainGraceMs: number;
}

export const defaultOrphanOptions: OrphanOptions = {
  periodMs: 30_000,
  taskGraceMs: 5 * 60_000,
  domainGraceMs: 60_000,
};

/** More than this share of all machines of the cluster (and more than a few) at once is taken for a fault of ours. Pure. */
export function brakes(orphans: number, machines: number): boolean {
  return orphans > Math.max(3, Math.floor(machines * 0.05));
}

interface StrayDomain {
  readonly hostname: string;
  readonly uid: string;
}

export class Orphans {
  readonly #world: World;
  readonly #options: OrphanOptions;
  /** Monotonic: since when each has been without an owner. */
  readonly #sinceMs = new Map<string, number>();
  #tasks: readonly string[] = [];
  #domains: readonly StrayDomain[] = [];

  constructor(world: World, options: OrphanOptions = defaultOrphanOptions) {
    this.#world = world;
    this.#options = options;
  }

  get taskCount(): number {
    return this.#tasks.length;
  }

  domainsOn(hostname: string): number {
    return this.#domains.filter((domain) => domain.hostname === hostname).length;
  }

  get periodMs(): number {
    return this.#options.periodMs;
  }

  /** To be called every `periodMs`, when the session is reconciled. */
  async look(): Promise<void> {
    this.#tasks = this.#strayTasks();
    this.#domains = this.#strayDomains();
    const nowMs = this.#world.clock.monotonic();
    const names = new Set([...this.#tasks, ...this.#domains.map(nameOf)]);
    for (const name of this.#sinceMs.keys()) if (!names.has(name)) this.#sinceMs.delete(name);
    for (const name of names) if (!this.#sinceMs.has(name)) this.#sinceMs.set(name, nowMs);
    const ripe = (name: string, graceMs: number) => nowMs - this.#sinceMs.get(name)! >= graceMs;
    const tasks = this.#tasks.filter((name) => ripe(name, this.#options.taskGraceMs));
    const domains = this.#domains.filter((domain) => ripe(nameOf(domain), this.#options.domainGraceMs));
    if (tasks.length + domains.length > 0) await this.#remove(tasks, domains);
  }

  #strayTasks(): string[] {
    const strays: string[] = [];
    for (const [taskId, fact] of this.#world.tasks.entries()) {
      const parsed = parseTaskId(taskId);
      if (parsed?.type !== 'machine') continue;
      const attempt = this.#world.machines.byUid(parsed.uid)?.status?.attempt;
      if (attempt?.taskID === taskId) continue;
      if (isDead(fact.state)) this.#world.tasks.forget(taskId);
      // No order reaches it, so it must not count as one of many either. When its agent is back, it is heard of again.
      else if (fact.state === 'TASK_UNREACHABLE') continue;
      // On the host of the living attempt a kill could take the machine with it, until that attempt has begun there.
      else if (attempt?.agentID !== fact.agentId || this.#hasBegun(attempt?.taskID)) strays.push(taskId);
    }
    return strays;
  }

  #hasBegun(taskId: string | undefined): boolean {
    return taskId !== undefined && this.#world.tasks.get(taskId)?.begunMs !== undefined;
  }

  #strayDomains(): StrayDomain[] {
    return this.#world.executors.all().flatMap(({ hostname, inventory, machines }) =>
      [...(inventory?.uids.keys() ?? [])]
        .filter((uid) => {
          const attempt = this.#world.machines.byUid(uid)?.status?.attempt;
          const here = attempt?.cluster === this.#world.cluster && attempt.host === hostname;
          return !here && !machines.has(uid);
        })
        .map((uid) => ({ hostname, uid })),
    );
  }

  async #remove(tasks: readonly string[], domains: readonly StrayDomain[]): Promise<void> {
    // Not the cache: this list is newer than every orphan that it condemns.
    const fieldSelector = attemptsOf(this.#world.cluster);
    const { items } = await this.#world.client.list(VirtualMachine, { fieldSelector });
    if (brakes(tasks.length + domains.length, items.length)) {
      this.#world.log.error('Too many orphans at once: none is removed until somebody has looked', {
        tasks: tasks.slice(0, 10),
        domains: domains.slice(0, 10),
        machines: items.length,
      });
      return;
    }
    const attempts = new Map(items.map((vm) => [vm.metadata.uid, vm.status?.attempt]));
    for (const taskId of tasks) {
      if (attempts.get(parseTaskId(taskId)!.uid)?.taskID === taskId) continue;
      const agentId = this.#world.tasks.get(taskId)?.agentId;
      this.#world.log.warn('Killing a task without a machine', { taskId });
      const kill = { task_id: { value: taskId }, ...(agentId ? { agent_id: { value: agentId } } : {}) };
      await this.#world.call({ type: 'KILL', kill });
    }
    for (const { hostname, uid } of domains) {
      if (attempts.get(uid)?.host === hostname) continue;
      this.#world.log.warn('Removing a domain without a machine', { host: hostname, uid });
      await this.#world.tell(hostname, { type: 'cleanup', version: 1, uids: [uid] });
      await this.#world.tell(hostname, { type: 'inventory', version: 1 });
    }
  }
}

function nameOf({ hostname, uid }: StrayDomain): string {
  return `${hostname}/${uid}`;
}
