/** What the executors said last, host by host, in memory only. A heartbeat says everything anew, so nothing here outlives us. */
import type { Heartbeat, Inventory, MachineReport } from '#lib/api/messages.ts';

export interface InventoryFact {
  readonly content: Inventory;
  /** uids of our domains. */
  readonly uids: ReadonlyMap<string, Inventory['domains'][number]>;
  readonly heardMs: number;
  /** Monotonic: when this run of the worker was first heard of. */
  readonly workerHeardMs: number;
}

export interface ExecutorFact {
  readonly hostname: string;
  readonly agentId: string;
  readonly executorId: string;
  readonly heartbeat: Heartbeat;
  readonly machines: ReadonlyMap<string, MachineReport>;
  readonly inventory: InventoryFact | undefined;
  readonly heardMs: number;
  readonly workerHeardMs: number;
  /** Monotonic: Mesos said that the executor ended, or its agent is gone or another. Undefined while it may live. */
  readonly lostMs: number | undefined;
}

/** A host whose executor is silent for longer has lost it or the network. Heartbeats come every 10 s. */
export const silentAfterMs = 60_000;

/** The fact after one more heartbeat; the old one if this heartbeat was overtaken by a later one. Pure. */
export function nextExecutor(
  old: ExecutorFact | undefined,
  from: { readonly hostname: string; readonly agentId: string; readonly executorId: string },
  heartbeat: Heartbeat,
  nowMs: number,
): ExecutorFact {
  const sameWorker = old?.heartbeat.workerId === heartbeat.workerId;
  if (old && sameWorker && heartbeat.sequence <= old.heartbeat.sequence) return old;
  const workerHeardMs = sameWorker ? old.workerHeardMs : nowMs;
  const { inventory } = heartbeat;
  const fresh: InventoryFact | undefined = inventory && {
    content: inventory,
    uids: new Map(inventory.domains.map((domain) => [domain.uid, domain])),
    heardMs: nowMs,
    workerHeardMs,
  };
  return {
    ...from,
    heartbeat,
    machines: new Map(heartbeat.machines.map((report) => [report.uid, report])),
    // Another worker, another world: what the one before found proves nothing any more.
    inventory: fresh ?? (sameWorker ? old.inventory : undefined),
    heardMs: nowMs,
    workerHeardMs,
    lostMs: undefined,
  };
}

export class ExecutorBook {
  readonly #facts = new Map<string, ExecutorFact>();

  get(hostname: string): ExecutorFact | undefined {
    return this.#facts.get(hostname);
  }

  all(): readonly ExecutorFact[] {
    return [...this.#facts.values()];
  }

  /** Those that messages reach: what a silent one saw is old, and nothing can be done about it before one speaks again. */
  alive(nowMs: number): readonly ExecutorFact[] {
    return this.all().filter((fact) => isAlive(fact, nowMs));
  }

  hear(
    from: { hostname: string; agentId: string; executorId: string },
    heartbeat: Heartbeat,
    nowMs: number,
  ): ExecutorFact {
    const fact = nextExecutor(this.#facts.get(from.hostname), from, heartbeat, nowMs);
    this.#facts.set(from.hostname, fact);
    return fact;
  }

  /** The executor is gone; its inventory does not count until one speaks again. */
  lost(hostname: string, nowMs: number): void {
    const old = this.#facts.get(hostname);
    if (old) this.#facts.set(hostname, { ...old, inventory: undefined, lostMs: nowMs });
  }

  /** The executor has seen that this domain is absent: its last inventory is older than that. */
  absent(hostname: string, uid: string): void {
    const old = this.#facts.get(hostname);
    if (!old?.inventory?.uids.has(uid)) return;
    const uids = new Map([...old.inventory.uids].filter(([known]) => known !== uid));
    this.#facts.set(hostname, { ...old, inventory: { ...old.inventory, uids } });
  }

  remove(hostname: string): void {
    this.#facts.delete(hostname);
  }
}

/** True while the executor of a host answers: messages to it have a chance. */
export function isAlive(fact: ExecutorFact | undefined, nowMs: number): fact is ExecutorFact {
  return fact !== undefined && fact.lostMs === undefined && nowMs - fact.heardMs < silentAfterMs;
}

/** True if nothing has been heard of an executor for too long, or never since `listeningSinceMs`, when it could be heard first. */
export function isSilent(fact: ExecutorFact | undefined, nowMs: number, listeningSinceMs: number): boolean {
  return nowMs - Math.max(fact?.heardMs ?? 0, listeningSinceMs) >= silentAfterMs;
}
