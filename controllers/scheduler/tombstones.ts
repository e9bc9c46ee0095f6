/**
 * Machines that were deleted and let go while their host did not answer (lib/api/forgotten.ts), and those that their host switched off by
 * itself: nothing need ever be launched there again, and without an executor nobody sees what is left. What the Host object notes is written
 * before the machine's attempt is closed, and taken back when the host has shown that nothing of it is there.
 */

import { forgottenProof, type Tombstone, tombstoneOf } from '#lib/api/forgotten.ts';
import { Host } from '#lib/api/generated/host.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { annotations, hostObjectName, parseTaskId } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { closed, type MachineStatus } from './attempt.ts';
import { isAlive, silentAfterMs } from './executor-book.ts';
import { launchOn } from './launcher.ts';
import { lookWork } from './look-task.ts';
import { type Attempt, settleMs } from './proof.ts';
import { isDead } from './task-book.ts';
import type { World } from './world.ts';

/** As the schema says. A machine beyond waits until there is room. */
const tombstonesMax = 200;
const killEveryMs = 10_000;
const lookEveryMs = 60_000;

/** Notes with its Host what may be left of a machine; false if that cannot be done now. */
export async function bury(world: World, vm: VirtualMachine, attempt: Attempt): Promise<boolean> {
  const host = world.hosts.get(hostObjectName(world.cluster, attempt.host ?? ''));
  if (!host) return false;
  const { uid } = vm.metadata;
  if (tombstoneOf(host, uid)?.attempt === (attempt.number ?? 0)) return true;
  const { pendingCleanup = [], ...status } = host.status ?? {};
  const others = pendingCleanup.filter((each) => each.uid !== uid);
  if (others.length >= tombstonesMax) return false;
  const all = [...others, newTombstone(vm, attempt, world.clock.now())];
  world.hosts.wrote(await world.client.updateStatus(Host, { ...host, status: { ...status, pendingCleanup: all } }));
  return true;
}

function newTombstone({ metadata, status }: VirtualMachine, { number = 0, bootID }: Attempt, nowMs: number): Tombstone {
  // One that is wanted keeps its addresses wherever it runs.
  const networks = metadata.deletionTimestamp === undefined ? [] : (status?.networks ?? []);
  const addresses = networks.flatMap(({ subnet, ip, ipam }) => {
    if (subnet === undefined) return [];
    // Its guest may have any, but it is on that network.
    if (ipam === 'External') return [{ subnet }];
    return ip === undefined ? [] : [{ subnet, ip }];
  });
  return {
    ...{ uid: metadata.uid, namespace: metadata.namespace!, name: metadata.name, attempt: number },
    ...(bootID !== undefined && { bootID }),
    since: timestamp(nowMs),
    ...(addresses.length > 0 && { addresses }),
  };
}

/** The machine's status once it is let go: no attempt, and no proof either. */
export function forgotten(vm: VirtualMachine, { host, cluster }: Attempt, nowMs: number): MachineStatus {
  const message = `Host ${host} has not answered for so long that the deleted machine was let go. What is left of it there is removed when it answers`;
  const status = closed(vm, { outcome: 'Lost', class: 'User', reason: 'Forgotten', message }, forgottenProof, nowMs);
  const [last, ...others] = (status.attempts ?? []).toReversed();
  return { ...status, attempts: [...others.toReversed(), { ...last, ...(cluster !== undefined && { cluster }) }] };
}

/** True of a proof that needs nobody to have looked at the host: what is left there, and its task, is yet to be removed. */
export function isUnseen(proof: string | undefined): boolean {
  return proof === 'SelfFenced' || proof === forgottenProof;
}

/** uids of all that was let go: what shows of it is no riddle. */
export function buried({ hosts }: World): ReadonlySet<string> {
  return new Set(hosts.list().flatMap(({ status }) => (status?.pendingCleanup ?? []).map(({ uid }) => uid)));
}

export class Tombstones {
  readonly #world: World;
  /** Monotonic: when this process saw the note first while the host answered. */
  readonly #seenMs = new Map<string, number>();
  readonly #killedMs = new Map<string, number>();
  readonly #lookedMs = new Map<string, number>();
  #wants = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** An offer of a host without an executor is wanted. */
  get hasWork(): boolean {
    return this.#wants;
  }

  /** To be called every few seconds, when the session is reconciled. */
  async look(): Promise<void> {
    let wants = false;
    for (const host of this.#world.hosts.list()) {
      const all = host.status?.pendingCleanup ?? [];
      if (all.length === 0) continue;
      const left: Tombstone[] = [];
      for (const each of all) if (!(await this.#isClean(host, each))) left.push(each);
      if (left.length < all.length) await this.#write(host, left);
      else if (await this.#isBlind(host, left[0]!)) wants = true;
    }
    this.#wants = wants;
  }

  /** Nobody there could look: Mesos starts an executor with a task, and no machine may ever be launched there. */
  async #isBlind({ spec: { hostname } }: Host, note: Tombstone): Promise<boolean> {
    const { agents, clock, executors, startedMs } = this.#world;
    const nowMs = clock.monotonic();
    if (!agents.get(hostname)?.active || nowMs < startedMs + silentAfterMs) return false;
    if (isAlive(executors.get(hostname), nowMs)) return false;
    if (nowMs < (this.#lookedMs.get(hostname) ?? Number.NEGATIVE_INFINITY) + lookEveryMs) return false;
    if ((await launchOn(this.#world, hostname, [lookWork(this.#world, note)])) === 'NotSent') return true;
    this.#lookedMs.set(hostname, nowMs);
    return false;
  }

  async #write(host: Host, left: readonly Tombstone[]): Promise<void> {
    const { client, hosts, log } = this.#world;
    const { pendingCleanup: _, ...status } = host.status!;
    const next = { ...host, status: { ...status, ...(left.length > 0 && { pendingCleanup: left }) } };
    try {
      hosts.wrote(await client.updateStatus(Host, next));
    } catch (error) {
      if (!isCode(error, 'Conflict', 'NotFound')) log.warn('Host not written', { reason: messageOf(error) });
    }
  }

  /** Proven gone, disks and all; else has that done. */
  async #isClean({ metadata, spec }: Host, { uid, attempt, bootID }: Tombstone): Promise<boolean> {
    const { clock, cluster, executors, machines: wanted } = this.#world;
    // It was launched there again: whatever is there of it is its own.
    const { attempt: live, migration } = wanted.byUid(uid)?.status ?? {};
    const isOwn = (own: Partial<Attempt> | undefined) =>
      own?.cluster === cluster && own.host === spec.hostname && (own.number ?? 0) > attempt;
    if (isOwn(live) || isOwn(migration)) return true;
    if (bootID !== undefined && metadata.annotations?.[annotations.confirmedDead] === bootID) return true;
    const nowMs = clock.monotonic();
    const executor = executors.get(spec.hostname);
    const key = `${spec.hostname}/${uid}`;
    if (!isAlive(executor, nowMs)) {
      this.#seenMs.delete(key);
      return false;
    }
    const seenMs = this.#seenMs.get(key) ?? nowMs;
    this.#seenMs.set(key, seenMs);
    const tasks = this.#livingTasks(uid, attempt, executor.agentId);
    for (const taskId of tasks) await this.#kill(taskId, nowMs);
    const { inventory, machines } = executor;
    const isFresh = inventory !== undefined && inventory.heardMs > seenMs + settleMs;
    const isThere = machines.has(uid) || inventory?.uids.has(uid) || inventory?.content.disks.includes(uid);
    if (isFresh && !isThere && tasks.length === 0) return true;
    if (isThere && !machines.has(uid)) await this.#tell(spec.hostname, { type: 'cleanup', version: 1, uids: [uid] });
    await this.#tell(spec.hostname, { type: 'inventory', version: 1 });
    return false;
  }

  /** Of a host's agents only the one that is registered can run any: those of the ones before stay unreachable for ever. */
  #livingTasks(uid: string, attempt: number, current: string): readonly string[] {
    return [...this.#world.tasks.entries()].flatMap(([taskId, { state, agentId = current }]) => {
      const task = parseTaskId(taskId);
      const isItsOwn = task?.uid === uid && task.attempt <= attempt;
      return isItsOwn && agentId === current && !isDead(state) ? [taskId] : [];
    });
  }

  async #kill(taskId: string, nowMs: number): Promise<void> {
    if (nowMs - (this.#killedMs.get(taskId) ?? Number.NEGATIVE_INFINITY) < killEveryMs) return;
    this.#killedMs.set(taskId, nowMs);
    const agentId = this.#world.tasks.get(taskId)?.agentId;
    this.#world.log.info('Killing the task of a machine that was let go', { taskId });
    const kill = { task_id: { value: taskId }, ...(agentId ? { agent_id: { value: agentId } } : {}) };
    await this.#world.call({ type: 'KILL', kill });
  }

  async #tell(...[hostname, message]: Parameters<World['tell']>): Promise<void> {
    await this.#world.tell(hostname, message);
  }
}
