/**
 * Carries out what the cluster server orders to be done to Volumes, one after the other, copying beside all else, and looks at the mounts now and then. What came of an
 * order is told in every heartbeat of this worker's, also when it is repeated: another try comes with another id.
 */
import type {
  MountReport,
  StraysReport,
  VolumeListOrder,
  VolumeOrder,
  VolumeOrderReport,
  VolumesReport,
} from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { HostVolumes } from '../hypervisor.ts';
import type { ImageStore } from '../images/store.ts';
import { VolumeError } from './errors.ts';

const lookEveryMs = 10_000;
/** Of outcomes: a cluster server that is away for long asks again. */
const reportsMax = 64;

export interface VolumeOrdersDeps {
  readonly volumes: HostVolumes;
  readonly images: Pick<ImageStore, 'find'>;
  /** A heartbeat has something new to tell. */
  changed(): void;
  readonly clock: Clock;
  readonly log: Log;
}

export class VolumeOrders implements AsyncDisposable {
  readonly #deps: VolumeOrdersDeps;
  readonly #reports = new Map<string, VolumeOrderReport>();
  /** Under way or waiting, by uid. */
  readonly #open = new Set<string>();
  /** Of those the ones that copy, or wait for that, and how many percent are there. */
  readonly #fills = new Map<string, { readonly abort: AbortController; percent: number }>();
  /** By Gluster volume, of those that the host may use. */
  readonly #strays = new Map<string, StraysReport>();
  /** Ids of orders that wait. */
  readonly #looks = new Set<string>();
  #filling: Promise<void> = Promise.resolve();
  #mounts: readonly MountReport[] = [];
  #working: Promise<void> = Promise.resolve();
  #looking: Promise<void> = Promise.resolve();
  #timer: Disposable | undefined;
  #closed = false;

  constructor(deps: VolumeOrdersDeps) {
    this.#deps = deps;
    this.#lookLater();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    for (const { abort } of this.#fills.values()) abort.abort(new Error('The executor ends'));
    await Promise.all([this.#working, this.#filling, this.#looking]);
  }

  report(): VolumesReport {
    const filling = [...this.#fills].map(([uid, { percent }]) => ({ uid, percent }));
    return {
      ...{ names: this.#deps.volumes.names, mounts: this.#mounts, orders: [...this.#reports.values()] },
      ...{ grows: true, fills: true, lists: true },
      ...(this.#strays.size > 0 && { strays: [...this.#strays.values()] }),
      ...(filling.length > 0 && { filling }),
    };
  }

  obey(order: VolumeOrder): void {
    const { uid } = order.volume;
    // What is to go need not be filled first. Its removal is ordered again.
    if (order.order === 'remove') this.#fills.get(uid)?.abort.abort(new Error('The Volume is to be removed'));
    if (this.#open.has(uid) || this.#reports.get(uid)?.id === order.id) return;
    this.#open.add(uid);
    const isFill = order.order === 'fill';
    if (isFill) this.#fills.set(uid, { abort: new AbortController(), percent: 0 });
    const work = async () => {
      if (!this.#closed) this.#tell(await this.#carryOut(order));
      this.#open.delete(uid);
      this.#fills.delete(uid);
    };
    if (isFill) this.#filling = this.#filling.then(work);
    else this.#working = this.#working.then(work);
  }

  lookFor({ id, installation, glusterVolume: name, known }: VolumeListOrder): void {
    const { volumes, changed, log } = this.#deps;
    if (!volumes.names.includes(name) || this.#looks.has(id) || this.#strays.get(name)?.id === id) return;
    this.#looks.add(id);
    this.#working = this.#working.then(async () => {
      if (this.#closed) return;
      const nothing = { count: 0, strays: [], unmarked: 0 };
      const found = await volumes.strays(name, installation, known).catch((error: unknown) => {
        log.warn('Cannot look what is on a Gluster volume', { volume: name, reason: messageOf(error) });
        return { ...nothing, error: messageOf(error) };
      });
      this.#looks.delete(id);
      this.#strays.set(name, { id, name, ...found });
      changed();
    });
  }

  async #carryOut(orderOf: VolumeOrder): Promise<VolumeOrderReport> {
    const { id, order, volume } = orderOf;
    const { log } = this.#deps;
    const { uid } = volume;
    try {
      const bytes = await this.#do(orderOf);
      log.info('Carried out an order about a Volume', { order, uid });
      return { id, uid, state: 'Done', message: '', ...(bytes !== undefined && { bytes }) };
    } catch (error) {
      const message = messageOf(error);
      const reason = error instanceof VolumeError ? error.reason : 'VolumeFailed';
      log.warn('An order about a Volume failed', { order, uid, reason, message });
      return { id, uid, state: 'Failed', reason, message };
    }
  }

  async #do({ order, volume, installation, source }: VolumeOrder): Promise<number | undefined> {
    const { volumes, images } = this.#deps;
    if (order === 'make') return await volumes.make(volume, installation);
    if (order === 'remove') return void (await volumes.remove(volume));
    if (order === 'discard') return void (await volumes.discard(volume, installation));
    if (!source) throw new TypeError(`The order to fill ${volume.uid} has no source`);
    const fill = this.#fills.get(volume.uid)!;
    const { signal } = fill.abort;
    signal.throwIfAborted();
    const from = 'digest' in source ? { path: await images.find(source.digest), format: source.format } : source;
    const told = (percent: number) => {
      fill.percent = percent;
    };
    return await volumes.fill(volume, installation, from, { told, signal });
  }

  #tell(report: VolumeOrderReport): void {
    this.#reports.delete(report.uid);
    this.#reports.set(report.uid, report);
    for (const uid of this.#reports.keys()) if (this.#reports.size > reportsMax) this.#reports.delete(uid);
    this.#deps.changed();
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#timer = this.#deps.clock.timeout(() => {
      this.#looking = this.#look().finally(() => this.#lookLater());
    }, lookEveryMs);
  }

  async #look(): Promise<void> {
    const { volumes, changed, log } = this.#deps;
    try {
      const mounts = await volumes.look();
      const words = (reports: readonly MountReport[]) => JSON.stringify(reports.map(({ used: _, ...rest }) => rest));
      const isNews = words(mounts) !== words(this.#mounts);
      this.#mounts = mounts;
      if (isNews) changed();
    } catch (error) {
      log.warn('Cannot look at the mounts', { reason: messageOf(error) });
    }
  }
}
