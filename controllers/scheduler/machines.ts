/**
 * Carries out what machine.ts decides, one machine at a time and never the same one twice at once. Level-triggered: whatever happens to
 * a machine only makes it due.
 */
import { isDeepStrictEqual } from 'node:util';
import { WorkQueue } from '#controllers/runtime/queue.ts';
import { isTrue } from '#lib/api/conditions.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import { annotations, hostObjectName } from '#lib/api/names.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { MachineStatus } from './attempt.ts';
import { begunEviction, evictionOf } from './drain.ts';
import { drainOf } from './drains.ts';
import { fencedFromMs } from './fence.ts';
import { cameToNothing, cameUp, isStarting } from './launch-outcome.ts';
import { type Decision, decide, type Moment, type Repair } from './machine.ts';
import { memberOf } from './member.ts';
import { arrivalOf, asAttempt, decideMigration, machineOf, type Step, type Telling, toBeTold } from './migration.ts';
import type { Migrations } from './migrations.ts';
import type { Attempt, Evidence } from './proof.ts';
import type { PendingAck } from './task-book.ts';
import { askOf } from './tasks.ts';
import { bury, forgotten, isUnseen } from './tombstones.ts';
import type { World } from './world.ts';

const workers = 32;
/** Until then this process has ended, or has renewed its lease. */
const notLeadingMs = 1_000;
/** How long a change that will soon be followed by another may wait for it. */
const softDelayMs = 2_000;
const killRetry = { firstMs: 5_000, maxMs: 60_000 } as const;
const inventoryRetryMs = 3_000;
/** What hosts are to be told of a migration is told again. */
const migrationLookMs = 3_000;

export interface MachinesOptions {
  readonly world: World;
  /** The machine may be placed, or no longer: Placing looks at it again. */
  readonly onUnplaced: (vm: VirtualMachine | undefined, key: string) => void;
  /** Launch it again on the host where it is. */
  readonly onRepair: (vm: VirtualMachine, repair: Exclude<Repair, 'inventory'>) => void;
  readonly migrations: Pick<Migrations, 'cancelOf' | 'evictionOf' | 'tell'>;
  /** Its power may not be as its spec wants: after so many milliseconds it is to be looked at again. */
  readonly onLive: (vm: VirtualMachine) => number | undefined;
}

export class Machines {
  readonly #world: World;
  readonly #options: MachinesOptions;
  readonly #queue: WorkQueue;
  /** taskIds whose intent is stored and of which we know that no ACCEPT was sent. */
  readonly #neverSent = new Set<string>();
  readonly #softSinceMs = new Map<string, number>();
  readonly #kills = new Map<string, { failures: number; nextMs: number }>();
  readonly #inventoryAskedMs = new Map<string, number>();

  constructor(options: MachinesOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#queue = new WorkQueue(options.world.clock, options.world.random);
  }

  /**
   * Enters what every machine holds by its own record. To be called before anything reads the ledger: a host of which nothing is entered
   * yet looks empty, and one that is drained would be given to Mesos, which ends everything on it.
   */
  takeStock(): void {
    for (const vm of this.#world.machines.list()) {
      const attempt = vm.status?.attempt;
      if (attempt?.cluster === this.#world.cluster) this.#occupy(vm, attempt, vm.status);
    }
  }

  #occupy(vm: VirtualMachine, { host }: Attempt, status: MachineStatus | undefined): void {
    const { ledger } = this.#world;
    const { uid } = vm.metadata;
    const standing = isStarting(status?.phase) ? 'Starting' : 'Started';
    ledger.occupy(uid, host ?? '', askOf(vm), memberOf(vm), standing);
    const there = status?.migration?.host;
    if (there === undefined) ledger.release(arrivalOf(uid));
    else ledger.occupy(arrivalOf(uid), there, askOf(vm), memberOf(vm), 'Arriving');
  }

  #release(uid: string): void {
    this.#world.ledger.release(uid);
    this.#world.ledger.release(arrivalOf(uid));
  }

  /** `namespace/name` is due. */
  due(key: string): void {
    this.#queue.add(key);
  }

  dueByUid(uid: string): void {
    const vm = this.#world.machines.byUid(uid);
    if (vm) this.due(keyOf(vm));
  }

  dueOnHost(hostname: string): void {
    for (const key of this.#world.ledger.machinesOn(hostname)) this.dueByUid(machineOf(key));
  }

  /** The intent is stored, but the offer is gone: nothing was sent, nothing can run. */
  neverSent(taskId: string, key: string): void {
    this.#neverSent.add(taskId);
    this.due(key);
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#queue.close(), { once: true });
    if (signal.aborted) this.#queue.close();
    await Promise.all(Array.from({ length: workers }, () => this.#work()));
  }

  async #work(): Promise<void> {
    for (let key = await this.#queue.next(); key !== undefined; key = await this.#queue.next()) {
      try {
        await this.#reconcile(key);
        this.#queue.forget(key);
      } catch (error) {
        // A Conflict is no fault: somebody wrote, and we look again at what it says now.
        if (!isCode(error, 'Conflict', 'NotFound'))
          this.#world.log.warn('Machine not reconciled', { machine: key, reason: messageOf(error) });
        this.#queue.retry(key);
      } finally {
        this.#queue.done(key);
      }
    }
  }

  async #reconcile(key: string): Promise<void> {
    // What we know may be older than what is stored: another one may have launched the attempt, and hears its host.
    if (!this.#world.isLeading()) return this.#queue.addAfter(key, notLeadingMs);
    const vm = this.#world.machines.get(key);
    const attempt = vm?.status?.attempt;
    if (vm && attempt?.cluster === this.#world.cluster) return await this.#follow(key, vm, attempt);
    if (vm) this.#release(vm.metadata.uid);
    this.#options.onUnplaced(vm, key);
  }

  async #follow(key: string, stored: VirtualMachine, attempt: Attempt): Promise<void> {
    const { migrations } = this.#options;
    const acks = this.#acks(stored);
    const moment = this.#moment();
    const source = this.#evidence(stored, attempt);
    const step = this.#migrationStep(stored, source, moment);
    if (step && step.type !== 'Open') {
      // Of the place that stays nothing is stored yet: it may have ended, too, and is looked at next.
      const over = step.type === 'Swap' ? attempt : stored.status?.migration;
      const told = this.#world.tasks.pendingAcks(over?.taskID ?? '');
      await this.#migrated(key, stored, attempt, step);
      return await this.#acknowledge(told);
    }
    const vm = step ? { ...stored, status: step.status } : stored;
    const drain = drainOf(this.#world, attempt.host ?? '');
    const eviction = drain
      ? migrations.evictionOf(vm, attempt, drain, evictionOf(vm, attempt, drain, moment.nowMs))
      : begunEviction(vm, attempt);
    const decision = decide(vm, attempt, source, moment, eviction);
    this.#occupy(vm, attempt, decision.status);
    // Its host may come back without an executor, and hear of it from nobody then. Not noted is no reason not to go on.
    if (decision.ended && decision.status.attempts?.at(-1)?.proof === 'SelfFenced')
      await bury(this.#world, vm, attempt);
    const waitMs = this.#softWaitMs(key, stored, decision, moment);
    if (waitMs === 0) await this.#store(stored, decision.status);
    else if (waitMs > 0) this.#queue.addAfter(key, waitMs);
    if (!decision.waits) await this.#acknowledge(acks);
    if (decision.status.phase === 'Running' && stored.status?.phase !== 'Running') cameUp(this.#world, vm, attempt);
    if (decision.ended) return this.#ended(key, vm, attempt, decision.status);
    if (decision.forget && (await this.#forget(key, vm, attempt))) return;
    await migrations.tell(vm, source, step?.telling);
    if (step) await this.#lookThere(key, vm, step.telling);
    if (step || toBeTold(vm, source)) this.#queue.addAfter(key, migrationLookMs);
    if (decision.againMs !== undefined) this.#queue.addAfter(key, decision.againMs);
    if (decision.kill) await this.#kill(key, attempt, decision.graceMs);
    if (decision.repair) return await this.#repair(vm, attempt, decision.repair);
    const lookMs = this.#options.onLive(vm);
    if (lookMs !== undefined) this.#queue.addAfter(key, lookMs);
  }

  #acks({ status }: VirtualMachine): readonly PendingAck[] {
    const places = [status?.attempt, status?.migration];
    return places.flatMap((place) => this.#world.tasks.pendingAcks(place?.taskID ?? ''));
  }

  #migrationStep(vm: VirtualMachine, source: Evidence, moment: Moment): Step | undefined {
    const { migration } = vm.status ?? {};
    if (!migration) return undefined;
    const destination = this.#evidence(vm, asAttempt(migration));
    return decideMigration(vm, { source, destination }, this.#options.migrations.cancelOf(vm, migration), moment);
  }

  /** It is certain whose the guest is, one way or the other: in one write. The next look finds a machine like any other. */
  async #migrated(
    key: string,
    vm: VirtualMachine,
    attempt: Attempt,
    { type, proof, status }: Exclude<Step, { type: 'Open' }>,
  ): Promise<void> {
    const { log, tasks } = this.#world;
    const { host, taskID } = vm.status!.migration!;
    // As of any attempt that ends so: what is left may come back with its host.
    if (type === 'Swap' && proof === 'SelfFenced') await bury(this.#world, vm, attempt);
    await this.#store(vm, status);
    log.info(type === 'Swap' ? 'Moved' : 'Not moved', { machine: key, from: attempt.host, to: host, proof });
    this.#occupy(vm, status.attempt!, status);
    const ended = type === 'Swap' ? attempt.taskID : taskID;
    this.#neverSent.delete(ended ?? '');
    // What was proven without a word of its executor may have a task yet, which is to be found and killed.
    if (type === 'Over' && proof !== 'KeptBySource' && !isUnseen(proof)) tasks.forget(taskID);
    if (type === 'Swap') {
      this.#world.sentAgain.delete(ended ?? '');
      this.#kills.delete(ended ?? '');
    }
    this.due(key);
  }

  /** First what is left is noted, then it is let go: never the other way round. False if that cannot be done now. */
  async #forget(key: string, vm: VirtualMachine, attempt: Attempt): Promise<boolean> {
    if (!(await bury(this.#world, vm, attempt))) return false;
    const { migration } = vm.status ?? {};
    if (migration && !(await bury(this.#world, vm, asAttempt(migration)))) return false;
    const now = this.#world.machines.get(key) ?? vm;
    const status = forgotten(now, attempt, this.#world.clock.now());
    await this.#store(now, status);
    this.#ended(key, now, attempt, status);
    return true;
  }

  /** `closed` as it was stored: without an attempt the machine may have left our sight at once. */
  #ended(key: string, vm: VirtualMachine, attempt: Attempt, closed: MachineStatus): void {
    const taskId = attempt.taskID ?? '';
    const proof = closed.attempts?.at(-1)?.proof;
    this.#world.log.info('Attempt closed', { machine: key, taskId, proof });
    cameToNothing(this.#world, vm, attempt, closed);
    if (proof === 'ExecutorSawNoDomain') this.#world.executors.absent(attempt.host ?? '', vm.metadata.uid);
    this.#release(vm.metadata.uid);
    // Nobody on the host has told of the end, so none may have told Mesos: while it runs there, it is yet to be killed.
    if (!isUnseen(proof)) this.#world.tasks.forget(taskId);
    this.#neverSent.delete(taskId);
    this.#world.sentAgain.delete(taskId);
    this.#kills.delete(taskId);
    this.#world.seedProblems.delete(vm.metadata.uid);
    this.#options.onUnplaced(this.#world.machines.get(key), key);
  }

  #moment(): Moment {
    const { clock, startedMs } = this.#world;
    return { nowMs: clock.now(), monotonicMs: clock.monotonic(), listeningSinceMs: startedMs };
  }

  #evidence(vm: VirtualMachine, attempt: Attempt): Evidence {
    const { agents, clock, executors, hosts, tasks, cluster } = this.#world;
    const hostname = attempt.host ?? '';
    const agent = agents.get(hostname);
    const host = hosts.get(hostObjectName(cluster, hostname));
    const fencedMs = fencedFromMs(vm.metadata.uid, attempt, executors.get(hostname), this.#world.startedMs);
    return {
      began: isTrue(vm, 'Launched'),
      neverSent: this.#neverSent.has(attempt.taskID ?? ''),
      sentAgain: (attempt.sends ?? 1) > 1 || this.#world.sentAgain.has(attempt.taskID ?? ''),
      task: tasks.get(attempt.taskID ?? ''),
      executor: executors.get(hostname),
      isFenced: fencedMs !== undefined && clock.monotonic() >= fencedMs,
      ...(fencedMs !== undefined && { fencedMs }),
      seedProblem: this.#world.seedProblems.get(vm.metadata.uid),
      hostAgentId: agent?.agentId,
      hostAgentSinceMs: agent?.sinceMs ?? 0,
      confirmedDead: host?.metadata.annotations?.[annotations.confirmedDead],
    };
  }

  /** 0: store now. Positive: look again after so long. Negative: nothing to store. */
  #softWaitMs(key: string, vm: VirtualMachine, { status, soft }: Decision, { monotonicMs }: Moment): number {
    if (isDeepStrictEqual(status, vm.status)) {
      this.#softSinceMs.delete(key);
      return -1;
    }
    if (!soft) return 0;
    const sinceMs = this.#softSinceMs.get(key) ?? monotonicMs;
    this.#softSinceMs.set(key, sinceMs);
    return Math.max(0, sinceMs + softDelayMs - monotonicMs);
  }

  async #store(vm: VirtualMachine, status: MachineStatus): Promise<void> {
    this.#softSinceMs.delete(keyOf(vm));
    this.#world.machines.wrote(await this.#world.client.updateStatus(VirtualMachine, { ...vm, status }));
  }

  /** Only now that what the updates said is stored, or needs no storing. */
  async #acknowledge(acks: readonly PendingAck[]): Promise<void> {
    for (const { agentId, taskId, uuid } of acks) {
      await this.#world.call({
        type: 'ACKNOWLEDGE',
        acknowledge: { agent_id: { value: agentId }, task_id: { value: taskId }, uuid },
      });
    }
    this.#world.tasks.acknowledged(acks);
  }

  /** A KILL may be lost on every leg: again until there is proof. */
  async #kill(key: string, attempt: Attempt, graceMs: number | undefined): Promise<void> {
    const { clock, random } = this.#world;
    const taskId = attempt.taskID!;
    const state = this.#kills.get(taskId) ?? { failures: 0, nextMs: 0 };
    const nowMs = clock.monotonic();
    if (nowMs >= state.nextMs) {
      state.failures++;
      state.nextMs = nowMs + backoffMs(state.failures, killRetry, random);
      this.#kills.set(taskId, state);
      const policy =
        graceMs === undefined ? {} : { kill_policy: { grace_period: { nanoseconds: Math.round(graceMs) * 1e6 } } };
      const ids = { task_id: { value: taskId }, agent_id: { value: attempt.agentID! } };
      await this.#world.call({ type: 'KILL', kill: { ...ids, ...policy } });
    }
    this.#queue.addAfter(key, Math.max(100, state.nextMs - nowMs));
  }

  async #repair(vm: VirtualMachine, attempt: Attempt, repair: Repair): Promise<void> {
    if (repair !== 'inventory') return this.#options.onRepair(vm, repair);
    await this.#askForInventory(attempt.host!);
  }

  async #lookThere(key: string, { status }: VirtualMachine, { look, kill }: Telling): Promise<void> {
    const there = asAttempt(status!.migration!);
    if (look) await this.#askForInventory(there.host!);
    if (kill) await this.#kill(key, there, undefined);
  }

  async #askForInventory(hostname: string): Promise<void> {
    const nowMs = this.#world.clock.monotonic();
    if (nowMs - (this.#inventoryAskedMs.get(hostname) ?? Number.NEGATIVE_INFINITY) < inventoryRetryMs) return;
    this.#inventoryAskedMs.set(hostname, nowMs);
    await this.#world.tell(hostname, { type: 'inventory', version: 1 });
  }
}
