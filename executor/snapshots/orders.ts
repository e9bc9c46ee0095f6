/**
 * Carries out what is ordered to be done with machines' disks, each order once by its id, and each to its end or its deadline, also over
 * workers that are killed: a next one begins it anew, and what was left behind is removed first. A worker that leaves reports nothing.
 */
import type { MachineLaunch } from '#lib/api/launch.ts';
import type { DiskOrder, OperationReport, SnapshotResult } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { HostDevices, Hypervisor } from '../hypervisor.ts';
import type { ImageStore } from '../images/store.ts';
import type { Journal } from '../journal/journal.ts';
import { imageOf } from '../machine/host.ts';
import { type MachineState, outcomeOf } from '../machine/state.ts';
import type { DiskUse } from './disk-use.ts';
import type { Freezes } from './freezes.ts';
import { FrozenGuests } from './frozen.ts';
import { discard } from './kept.ts';
import { take } from './take.ts';

/** Each copies a disk: more at once make no host faster. Orders beyond are repeated until there is room. */
const runningMax = 8;

export interface DiskOrdersDeps {
  readonly journal: Journal;
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  readonly images: ImageStore;
  readonly imageStore: string;
  readonly use: DiskUse;
  readonly freezes: Freezes;
  /** A machine of this host that is not gone. */
  machine(uid: string): MachineState | undefined;
  /** A heartbeat has something new to tell. */
  changed(): void;
  readonly clock: Clock;
  readonly log: Log;
  fatal(error: unknown): void;
}

interface Running {
  readonly order: DiskOrder;
  readonly abort: AbortController;
  readonly finished: Promise<void>;
}

const leaving = Symbol('leaving');
const late = Symbol('late');
const unwanted = Symbol('unwanted');

export class DiskOrders implements AsyncDisposable {
  readonly #deps: DiskOrdersDeps;
  readonly #guests: FrozenGuests;
  readonly #running = new Map<string, Running>();

  /** Thaws what may be frozen, and goes on with the orders in the journal. */
  constructor(deps: DiskOrdersDeps) {
    this.#deps = deps;
    this.#guests = new FrozenGuests(deps);
    for (const { order, deadline } of deps.journal.diskOrders()) this.#begin(order, deadline);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { abort } of this.#running.values()) abort.abort(leaving);
    await Promise.all([...this.#running.values()].map(async ({ finished }) => await finished));
    await this.#guests[Symbol.asyncDispose]();
  }

  obey(order: DiskOrder): void {
    const { journal, clock, changed } = this.#deps;
    const { id, uid, timeoutMs } = order;
    if (this.#running.has(id) || this.#running.size >= runningMax) return;
    // What is read here would be of a machine that is elsewhere by then.
    if (order.order !== 'Discard' && this.#deps.machine(uid)?.phase.name === 'Migrating') return;
    const report = journal.order({ id, uid, state: 'InProgress', message: `${order.order} was accepted` });
    changed();
    if (report.state !== 'InProgress') return;
    const deadline = clock.now() + timeoutMs;
    journal.orderDisk(order, deadline);
    this.#begin(order, deadline);
  }

  /** The machine's disk is read or written, or soon will be. */
  uses(uid: string): boolean {
    return [...this.#running.values()].some(({ order }) => order.uid === uid && order.order !== 'Discard');
  }

  #begin(order: DiskOrder, deadline: number): void {
    const abort = new AbortController();
    const finished = this.#run(order, deadline, abort)
      .catch((error) => this.#deps.fatal(error))
      .finally(() => this.#running.delete(order.id));
    this.#running.set(order.id, { order, abort, finished });
  }

  async #run(order: DiskOrder, deadline: number, abort: AbortController): Promise<void> {
    const { journal, clock, log, changed } = this.#deps;
    const { id, uid } = order;
    const reported = journal.diskOrders().find((row) => row.order.id === id)?.report;
    if (reported?.state === 'InProgress') {
      using _ = clock.timeout(() => abort.abort(late), Math.max(0, deadline - clock.now()));
      const report = await this.#carryOut(order, deadline, abort.signal);
      if (abort.signal.reason === leaving) return;
      if (report.state === 'Failed') log.warn('An order about a disk failed', { order, reason: report.message });
      else log.info('Carried out an order about a disk', { order });
      await this.#cleanUp(order, report.state === 'Failed');
      journal.finish({ ...report, id, uid });
      changed();
    } else {
      // An executor after the one that had it found its report made: what is left is to remove its traces.
      await this.#cleanUp(order, reported?.state === 'Failed');
    }
    journal.forgetDiskOrder(id);
  }

  async #carryOut(
    order: DiskOrder,
    deadline: number,
    signal: AbortSignal,
  ): Promise<Pick<OperationReport, 'state' | 'message' | 'result'>> {
    try {
      const result = await this.#perform(order, deadline, signal);
      return { state: 'Completed', message: this.#wordsOf(order), ...(result && { result }) };
    } catch (error) {
      const why = signal.aborted ? (reasons.get(signal.reason) ?? messageOf(error)) : messageOf(error);
      return { state: 'Failed', message: why };
    }
  }

  async #perform(order: DiskOrder, deadline: number, signal: AbortSignal): Promise<SnapshotResult | undefined> {
    const { imageStore, clock } = this.#deps;
    switch (order.order) {
      case 'Snapshot': {
        const { launch } = this.#machineFor(order);
        const image = { path: await imageOf(this.#deps, launch), format: launch.image.format };
        const of = { image, notKept: besidesRoot(launch) };
        const tools = { ...this.#deps, guests: this.#guests };
        return await take(tools, order, of, { signal, leftMs: () => deadline - clock.now() });
      }
      case 'Restore':
        await this.#restore(order, signal);
        return undefined;
      case 'Discard':
        await this.#stopTaking(order.snapshot);
        await discard(imageStore, order.snapshot);
        return undefined;
    }
  }

  /** The copy takes its time; what has to happen while nobody starts the machine is one rename. */
  async #restore(order: Extract<DiskOrder, { order: 'Restore' }>, signal: AbortSignal): Promise<void> {
    const { images, devices, hypervisor, use } = this.#deps;
    const { uid, digest } = order;
    const requireOff = async (): Promise<void> => {
      const { phase } = this.#machineFor(order);
      if (phase.name !== 'Stopped' || (await hypervisor.get(uid))?.power !== 'Off')
        throw new Error(`Cannot put the disk back: the machine is not off (${phase.name})`);
    };
    await requireOff();
    const { rootDiskBytes } = this.#machineFor(order).launch;
    await devices.copies.prepare(uid, await images.find(digest), rootDiskBytes, signal);
    await use.yielding(uid, signal, async () => {
      await requireOff();
      await devices.copies.replace(uid);
    });
  }

  /** What it left out is named. */
  #wordsOf({ order, uid }: DiskOrder): string {
    const launch = order === 'Discard' ? undefined : this.#deps.machine(uid)?.launch;
    const others = launch ? besidesRoot(launch) : [];
    if (others.length === 0) return done[order];
    return `${done[order]}; ${order === 'Snapshot' ? 'not in it' : 'as they were'}: ${others.join(', ')}`;
  }

  #machineFor({ uid, attempt }: { readonly uid: string; readonly attempt: number }): MachineState {
    const state = this.#deps.machine(uid);
    if (!state) throw new Error(`Machine ${uid} is not on this host`);
    if (state.launch.attempt !== attempt)
      throw new Error(`Machine ${uid} runs attempt ${state.launch.attempt} here, the order is for attempt ${attempt}`);
    if (state.phase.name === 'Removing' || state.phase.name === 'Gone')
      throw new Error(`Machine ${uid} is being removed`);
    if (outcomeOf(state) === 'Receiving') throw new Error(`Machine ${uid} has no disk yet`);
    return state;
  }

  async #stopTaking(snapshot: string): Promise<void> {
    const taking = [...this.#running.values()].filter(
      ({ order }) => order.order === 'Snapshot' && order.snapshot === snapshot,
    );
    for (const { abort } of taking) abort.abort(unwanted);
    await Promise.all(taking.map(async ({ finished }) => await finished));
  }

  /** Of what an order leaves beside its result; of a snapshot that failed, that too. */
  async #cleanUp(order: DiskOrder, isVoid: boolean): Promise<void> {
    const { hypervisor, devices, imageStore, log } = this.#deps;
    try {
      if (order.order === 'Discard') return;
      if (order.order === 'Snapshot') {
        await this.#guests.thaw(order.uid);
        await hypervisor.stopCopy(order.uid);
        if (isVoid) await discard(imageStore, order.snapshot);
      }
      await devices.copies.clear(order.uid);
    } catch (error) {
      // The copy goes with the machine, and what is in the store with the snapshot's own object.
      log.warn('An order about a disk left something behind', { order, reason: messageOf(error) });
    }
  }
}

/** Names of data disks and volumes. */
function besidesRoot({ disks = [], volumes = [] }: Pick<MachineLaunch, 'disks' | 'volumes'>): readonly string[] {
  return [...disks, ...volumes].map(({ name }) => name);
}

const done = { Snapshot: 'Taken', Restore: 'The disk was put back', Discard: 'Removed' } as const;

const reasons: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [late, 'It was not done before its deadline'],
  [unwanted, 'The snapshot was deleted while it was taken'],
]);
