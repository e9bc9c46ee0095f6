/** Somebody with rights on the masters, who takes resources away while a framework considers them, and gives them back later. */
import { conditionOf } from '#lib/api/conditions.ts';
import { Cluster, Host } from '#lib/api/generated/index.ts';
import { annotations, hostObjectName } from '#lib/api/names.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { Random } from '#lib/std/random.ts';
import type { OperatorClient } from '#mesos/operator.ts';
import type { Observer } from './observer.ts';
import { clusterName, type World } from './world.ts';

/** As a monitor does it: amounts that add up to what no double holds. */
const portions = [0.1, 0.2] as const;
const lookMs = 60_000;

function reserved(cpus: number): readonly object[] {
  const reservations = [{ type: 'DYNAMIC', role: 'docker' }];
  return [{ name: 'cpus', type: 'SCALAR', scalar: { value: cpus }, reservations }];
}

export class Operator {
  readonly #world: World;
  readonly #observer: Observer;
  readonly #random: Random;
  readonly #client: OperatorClient;
  /** What must be taken back, by agent. */
  readonly #undo = new Map<string, () => Promise<unknown>>();

  constructor(world: World, observer: Observer, random: Random) {
    this.#world = world;
    this.#observer = observer;
    this.#random = random;
    this.#client = world.operator;
  }

  /** All offers of the agent are rescinded, at some moment between their OFFERS and an ACCEPT. */
  rescindSoon(agentId: string): void {
    const at = { agent_id: { value: agentId } };
    const reactivate = () => this.#client.call({ type: 'REACTIVATE_AGENT', reactivate_agent: at });
    this.#soon(agentId, reactivate, () => this.#client.call({ type: 'DEACTIVATE_AGENT', deactivate_agent: at }));
  }

  /** RESERVE_RESOURCES, racing with an ACCEPT. */
  reserveSoon(agentId: string): void {
    const agent_id = { value: agentId };
    const call = (kind: 'RESERVE' | 'UNRESERVE', cpus: number) =>
      this.#client.call({
        type: `${kind}_RESOURCES`,
        [`${kind.toLowerCase()}_resources`]: { agent_id, resources: reserved(cpus) },
      });
    this.#soon(
      agentId,
      () => call('UNRESERVE', 0.3),
      async () => {
        for (const portion of portions) await call('RESERVE', portion);
      },
    );
  }

  /** Nothing of this boot runs any more. */
  async confirmDead(hostname: string, bootId: string): Promise<void> {
    const metadata = { annotations: { [annotations.confirmedDead]: bootId } };
    const host = { name: hostObjectName(clusterName, hostname) };
    // There is no such object before the host was first seen.
    await this.#world.api.patch(Host, host, { metadata }).catch(() => undefined);
  }

  /** Until somebody who tends hosts takes it back. */
  async drain(hostname: string): Promise<void> {
    const host = { name: hostObjectName(clusterName, hostname) };
    this.#observer.wished(Host, await this.#world.api.patch(Host, host, { spec: { drain: { reason: 'repair' } } }));
  }

  /** Reads conditions every minute, and does what they ask for: more orphans at once than are removed without a word may go. */
  lookAfterwards(): void {
    const cluster = this.#world.api.store.get(kindId(Cluster), clusterName) as Cluster;
    const held = conditionOf(cluster, 'GCSuspended');
    const asked = held?.status === 'True' ? /=(\d+)$/.exec(held.message ?? '')?.[1] : undefined;
    if (asked !== undefined) {
      const metadata = { annotations: { [annotations.removeOrphans]: asked } };
      void this.#world.api.patch(Cluster, { name: clusterName }, { metadata });
    }
    this.#world.clock.timeout(() => this.lookAfterwards(), lookMs);
  }

  /** Gives everything back, however often it has to be tried. */
  async undoAll(): Promise<void> {
    for (let tries = 0; tries < 30 && this.#undo.size > 0; tries++) {
      for (const [agentId, undo] of [...this.#undo])
        await undo().then(
          () => this.#undo.delete(agentId),
          () => undefined, // The agent may come back later, or never.
        );
      await this.#world.clock.sleep(2_000);
    }
  }

  #soon(agentId: string, undo: () => Promise<unknown>, act: () => Promise<unknown>): void {
    if (this.#undo.has(agentId)) return;
    this.#undo.set(agentId, undo);
    const within = (ms: number) => this.#world.clock.sleep(Math.floor(this.#random.next() * ms));
    void (async () => {
      await within(120);
      // A refusal is as good a disturbance as any.
      await act().catch(() => undefined);
      await within(20_000);
      await undo();
      this.#undo.delete(agentId);
    })().catch(() => undefined); // Then it is undone in the end.
  }
}
