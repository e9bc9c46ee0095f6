/**
 * Tasks and domains that carry our mark, and disks under our directories, that belong to no machine. Removed only when that is certain: they have been there for a while,
 * and a full list of the attempts of this cluster, made after that, does not claim them. A list that is suddenly almost empty (an etcd
 * restored from an old backup) must not become a mass kill: many at once are held until somebody allows it by an annotation.
 */
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { annotations, parseTaskId } from '#lib/api/names.ts';
import { rowOf } from './import-rows.ts';
import type { Attempt } from './proof.ts';
import { attemptsOf } from './selections.ts';
import { isDead } from './task-book.ts';
import { buried } from './tombstones.ts';
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
export function brakes(orphans: number, machines: number, allowed = 0): boolean {
  return orphans > Math.max(3, Math.floor(machines * 0.05), allowed);
}

/**
 * True if the machine's own record says that this attempt is over: the next begins, and a row is written, only on proof. What is left of
 * it on a host is no riddle, however much there is: a host that was vouched to be dead comes back with all that it had. Pure.
 */
export function isOver({ status }: VirtualMachine, attempt: number): boolean {
  const { attempts = [], attempt: live, migration, lastMigration: last } = status ?? {};
  const rows = attempts.map(({ number }) => number ?? 0);
  if (attempt <= Math.max(0, ...rows) || attempt < (live?.number ?? 0)) return true;
  // Where it was to be moved to, and is not.
  return attempt <= (last?.number ?? 0) && attempt !== live?.number && attempt !== migration?.number;
}

/** Or what an executor left that was killed before it had defined one, and whose journal is lost: disks and taps alone. */
interface StrayDomain {
  readonly hostname: string;
  readonly uid: string;
  /** 0 without a domain, which is what knows it. */
  readonly attempt: number;
}

/** More at once than are removed without a word. */
export interface HeldOrphans {
  readonly count: number;
  readonly machines: number;
  /** Names of some of them. */
  readonly examples: readonly string[];
}

const examplesMax = 5;

export class Orphans {
  readonly #world: World;
  readonly #options: OrphanOptions;
  /** Monotonic: since when each has been without an owner. */
  readonly #sinceMs = new Map<string, number>();
  #tasks: readonly string[] = [];
  #domains: readonly StrayDomain[] = [];
  #held: HeldOrphans | undefined;

  constructor(world: World, options: OrphanOptions = defaultOrphanOptions) {
    this.#world = world;
    this.#options = options;
  }

  get taskCount(): number {
    return this.#tasks.length;
  }

  /** Undefined if none is. */
  get held(): HeldOrphans | undefined {
    return this.#held;
  }

  domainsOn(hostname: string): number {
    return this.#domains.filter((domain) => domain.hostname === hostname && domain.attempt > 0).length;
  }

  get periodMs(): number {
    return this.#options.periodMs;
  }

  /** To be called every `periodMs`, when the session is reconciled. */
  async look(): Promise<void> {
    this.#tasks = this.#strayTasks();
    this.#domains = this.#strayDomains();
    const strayImports = this.#strayImports();
    const nowMs = this.#world.clock.monotonic();
    const names = new Set([...this.#tasks, ...strayImports, ...this.#domains.map(nameOf)]);
    for (const name of this.#sinceMs.keys()) if (!names.has(name)) this.#sinceMs.delete(name);
    for (const name of names) if (!this.#sinceMs.has(name)) this.#sinceMs.set(name, nowMs);
    const ripe = (name: string, graceMs: number) => nowMs - this.#sinceMs.get(name)! >= graceMs;
    const tasks = this.#tasks.filter((name) => ripe(name, this.#options.taskGraceMs));
    const domains = this.#domains.filter((domain) => ripe(nameOf(domain), this.#options.domainGraceMs));
    if (tasks.length + domains.length > 0) await this.#remove(tasks, domains);
    else this.#held = undefined;
    // An import is safe to repeat: nothing is lost by one that is killed.
    for (const name of strayImports) if (ripe(name, this.#options.taskGraceMs)) await this.#kill(name);
  }

  #strayTasks(): string[] {
    const strays: string[] = [];
    const forgotten = buried(this.#world);
    for (const [taskId, fact] of this.#world.tasks.entries()) {
      const parsed = parseTaskId(taskId);
      if (parsed?.type !== 'machine') continue;
      const places = placesOf(this.#world.machines.byUid(parsed.uid)?.status);
      if (places.some(({ taskID }) => taskID === taskId) || forgotten.has(parsed.uid)) continue;
      if (isDead(fact.state)) this.#world.tasks.forget(taskId);
      // No order reaches it, so it must not count as one of many either. When its agent is back, it is heard of again.
      else if (fact.state === 'TASK_UNREACHABLE') continue;
      // On the host of the living attempt a kill could take the machine with it, until that attempt has begun there.
      else if (places.every(({ agentID, taskID }) => agentID !== fact.agentId || this.#hasBegun(taskID)))
        strays.push(taskId);
    }
    return strays;
  }

  /** Of images that are gone, or that have gone on: their executor has lost its journal, and will never tell of an end. */
  #strayImports(): string[] {
    const { images, cluster, tasks } = this.#world;
    const wanted = new Set(images.list().map((image) => rowOf(image, cluster)?.taskID));
    const strays = [...tasks.entries()].filter(([id]) => parseTaskId(id)?.type === 'image' && !wanted.has(id));
    for (const [id, { state }] of strays) if (isDead(state)) tasks.forget(id);
    return strays.filter(([, { state }]) => !isDead(state) && state !== 'TASK_UNREACHABLE').map(([id]) => id);
  }

  #hasBegun(taskId: string | undefined): boolean {
    return taskId !== undefined && this.#world.tasks.get(taskId)?.begunMs !== undefined;
  }

  #strayDomains(): StrayDomain[] {
    const { executors, clock } = this.#world;
    const forgotten = buried(this.#world);
    return executors.alive(clock.monotonic()).flatMap(({ hostname, inventory, machines }) => {
      const bare = (inventory?.content.disks ?? []).filter((uid) => !inventory?.uids.has(uid));
      return [...(inventory?.uids.values() ?? []), ...bare.map((uid) => ({ uid, attempt: 0 }))]
        .filter(({ uid }) => {
          const places = placesOf(this.#world.machines.byUid(uid)?.status);
          const here = places.some(({ cluster, host }) => cluster === this.#world.cluster && host === hostname);
          return !here && !machines.has(uid) && !forgotten.has(uid);
        })
        .map(({ uid, attempt }) => ({ hostname, uid, attempt }));
    });
  }

  async #remove(tasks: readonly string[], domains: readonly StrayDomain[]): Promise<void> {
    // Not the cache: this list is newer than every orphan that it condemns.
    const fieldSelector = attemptsOf(this.#world.cluster);
    const { items } = await this.#world.client.list(VirtualMachine, { fieldSelector });
    const riddles = domains.filter(({ uid, attempt }) => this.#isRiddle(uid, attempt));
    const riddleTasks = tasks.filter((taskId) => {
      const { uid, attempt } = parseTaskId(taskId)!;
      return this.#isRiddle(uid, attempt);
    });
    const names = [...riddleTasks, ...riddles.map(nameOf)];
    const isHeld = brakes(names.length, items.length, this.#allowed());
    this.#hold(
      isHeld ? { count: names.length, machines: items.length, examples: names.slice(0, examplesMax) } : undefined,
    );
    const certainTasks = isHeld ? tasks.filter((taskId) => !riddleTasks.includes(taskId)) : tasks;
    const certain = isHeld ? domains.filter((domain) => !riddles.includes(domain)) : domains;
    const places = new Map(items.map(({ metadata, status }) => [metadata.uid, placesOf(status)]));
    for (const taskId of certainTasks) {
      const claimed = places.get(parseTaskId(taskId)!.uid)?.some(({ taskID }) => taskID === taskId);
      if (!claimed) await this.#kill(taskId);
    }
    await this.#cleanUp(certain, places);
  }

  #isRiddle(uid: string, attempt: number): boolean {
    const vm = this.#world.machines.byUid(uid);
    return vm === undefined || !isOver(vm, attempt);
  }

  #hold(held: HeldOrphans | undefined): void {
    if (held && !this.#held)
      this.#world.log.error('Too many orphans at once: none is removed until somebody has looked', { ...held });
    this.#held = held;
  }

  /** By the annotation on the Cluster. */
  #allowed(): number {
    const { clusters, cluster } = this.#world;
    const text = clusters.get(cluster)?.metadata.annotations?.[annotations.removeOrphans] ?? '';
    return /^\d{1,9}$/.test(text) ? Number(text) : 0;
  }

  async #kill(taskId: string): Promise<void> {
    const agentId = this.#world.tasks.get(taskId)?.agentId;
    this.#world.log.warn('Killing a task that nothing claims', { taskId });
    const kill = { task_id: { value: taskId }, ...(agentId ? { agent_id: { value: agentId } } : {}) };
    await this.#world.call({ type: 'KILL', kill });
  }

  async #cleanUp(domains: readonly StrayDomain[], places: ReadonlyMap<string, readonly Claim[]>): Promise<void> {
    for (const { hostname, uid } of domains) {
      if (places.get(uid)?.some(({ host }) => host === hostname)) continue;
      this.#world.log.warn('Removing what is left of no machine', { host: hostname, uid });
      await this.#world.tell(hostname, { type: 'cleanup', version: 1, uids: [uid] });
      await this.#world.tell(hostname, { type: 'inventory', version: 1 });
    }
  }
}

type Claim = Pick<Attempt, 'cluster' | 'host' | 'agentID' | 'taskID'>;

/** Where it may be: of its attempt, and of the one that it is being moved to. */
function placesOf(status: VirtualMachine['status']): readonly Claim[] {
  return [status?.attempt, status?.migration].filter((place) => place !== undefined);
}

function nameOf({ hostname, uid }: StrayDomain): string {
  return `${hostname}/${uid}`;
}
