/**
 * Has hosts take snapshots, put them back and remove them. Each order is repeated until its host reports it done, and its report is
 * acknowledged only after it was stored; the host does an id once. What is to be done the controllers have stored before (vmsnapshot, vmrestore).
 */
import { parseDuration } from '#lib/api/duration.ts';
import { VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';
import type { DiskOrder, OperationReport } from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { World } from './world.ts';

const repeatMs = 3_000;
const restoreMs = 10 * 60_000;
const discardMs = 5 * 60_000;
/** Beyond its deadline a host may be a little late to give a snapshot up. */
const graceMs = 30_000;
const messageMax = 2048;
/** A host does an id once; one that could not remove something is asked again with the next. */
const discardAgainMs = 60_000;
const discardPattern = /^(.+)-discard-\d+$/;

interface Sending {
  readonly host: string;
  readonly order: DiskOrder;
}

type OrderBase = Pick<DiskOrder, 'type' | 'version'>;
const base: OrderBase = { type: 'disk', version: 1 };

/** What its host is to do for a snapshot. `alive`: hosts that answer. Pure. */
export function snapshotOrder(snapshot: VMSnapshot, alive: readonly string[], nowMs: number): Sending | undefined {
  const { metadata, spec, status = {} } = snapshot;
  if (status.startedAt === undefined || status.host === undefined) return undefined;
  const endMs = Date.parse(status.startedAt) + parseDuration(spec.deadline);
  const { uid: own } = metadata;
  if (status.removal === 'Wanted') {
    // The one that may still be taking it; any other once that has given up.
    const isGivenUp = nowMs >= endMs + graceMs;
    const host = alive.includes(status.host) ? status.host : isGivenUp ? alive[0] : undefined;
    if (host === undefined) return undefined;
    const id = `${own}-discard-${Math.floor(nowMs / discardAgainMs)}`;
    return { host, order: { ...base, id, uid: own, snapshot: own, order: 'Discard', timeoutMs: discardMs } };
  }
  if (status.phase !== 'InProgress' || metadata.deletionTimestamp || nowMs >= endMs) return undefined;
  const { vmUID: uid = '', attempt = 1 } = status;
  const { consistency } = spec;
  const timeoutMs = endMs - nowMs;
  const order: DiskOrder = { ...base, id: own, uid, snapshot: own, order: 'Snapshot', attempt, consistency, timeoutMs };
  return { host: status.host, order };
}

/** Pure. */
export function restoreOrder({ metadata, status }: VMRestore): Sending | undefined {
  if (status?.phase !== 'InProgress' || status.host === undefined) return undefined;
  const { host, vmUID: uid = '', attempt = 1, digest = '', snapshotUID: snapshot = '' } = status;
  return {
    host,
    order: { ...base, id: metadata.uid, uid, snapshot, order: 'Restore', attempt, digest, timeoutMs: restoreMs },
  };
}

export class DiskOrderBook {
  readonly #world: World;
  /** Id and host -> (monotonic) when it was sent last. */
  readonly #sentMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** There is something for hosts to do. */
  get hasWork(): boolean {
    return this.#sendings().length > 0;
  }

  /** To be called every second or so, and when a snapshot or a restore changes. */
  async look(): Promise<void> {
    const { clock, tell } = this.#world;
    const nowMs = clock.monotonic();
    for (const [known, sentMs] of this.#sentMs) if (nowMs - sentMs >= repeatMs) this.#sentMs.delete(known);
    for (const { host, order } of this.#sendings()) {
      const sending = `${order.id} ${host}`;
      if (this.#sentMs.has(sending)) continue;
      this.#sentMs.set(sending, nowMs);
      await tell(host, order);
    }
  }

  #sendings(): readonly Sending[] {
    const { clock, executors, snapshots, restores } = this.#world;
    const alive = executors.alive(clock.monotonic()).map(({ hostname }) => hostname);
    const now = clock.now();
    return [
      ...snapshots.list().flatMap((one) => snapshotOrder(one, alive, now) ?? []),
      ...restores.list().flatMap((one) => restoreOrder(one) ?? []),
    ];
  }

  /** Stores what came of them; gives the ids that need not be reported again, and those that are none of ours. */
  async reported(
    reports: readonly OperationReport[],
  ): Promise<{ readonly stored: readonly string[]; readonly others: readonly OperationReport[] }> {
    const stored: string[] = [];
    const others: OperationReport[] = [];
    for (const report of reports) {
      const store = this.#storeFor(report);
      if (!store) others.push(report);
      else if (report.state !== 'InProgress' && (await this.#tryTo(store, report.id))) stored.push(report.id);
    }
    return { stored, others };
  }

  async #tryTo(store: () => Promise<void>, id: string): Promise<boolean> {
    try {
      await store();
      return true;
    } catch (error) {
      if (isCode(error, 'NotFound')) return true;
      if (!isCode(error, 'Conflict'))
        this.#world.log.warn('Report not stored', { operation: id, reason: messageOf(error) });
      return false;
    }
  }

  #storeFor(report: OperationReport): (() => Promise<void>) | undefined {
    const { snapshots, restores } = this.#world;
    const { id } = report;
    const discarded = snapshots.byUid(discardPattern.exec(id)?.[1] ?? '');
    if (discarded) return async () => await this.#discarded(discarded, report);
    const snapshot = snapshots.byUid(id);
    if (snapshot) return async () => await this.#taken(snapshot, report);
    const restore = restores.byUid(id);
    return restore && (async () => await this.#restored(restore, report));
  }

  async #taken(snapshot: VMSnapshot, { state, message, result }: OperationReport): Promise<void> {
    const { status } = snapshot;
    // Given up, or being deleted: then what came of it is removed.
    if (status?.phase !== 'InProgress' || snapshot.metadata.deletionTimestamp) return;
    const finishedAt = timestamp(this.#world.clock.now());
    const words = { finishedAt, message: message.slice(0, messageMax) };
    if (state !== 'Completed' || !result) return await this.#writeSnapshot(snapshot, { ...words, phase: 'Failed' });
    const { digest, format, size, virtualSize, consistency: consistencyAchieved, indications, notKept } = result;
    const disks = [{ name: 'root', digest, format, size, virtualSize }];
    const kept = { disks, size, ...(notKept && notKept.length > 0 && { notKept }) };
    await this.#writeSnapshot(snapshot, { ...words, phase: 'Ready', consistencyAchieved, indications, ...kept });
  }

  async #discarded(snapshot: VMSnapshot, { state, message }: OperationReport): Promise<void> {
    if (state === 'Completed') return await this.#writeSnapshot(snapshot, { removal: 'Removed' });
    this.#world.log.warn('A snapshot was not removed', { snapshot: keyOf(snapshot), reason: message });
  }

  async #writeSnapshot(snapshot: VMSnapshot, change: NonNullable<VMSnapshot['status']>): Promise<void> {
    const status = { ...snapshot.status, ...change };
    this.#world.snapshots.wrote(await this.#world.client.updateStatus(VMSnapshot, { ...snapshot, status }));
  }

  async #restored(restore: VMRestore, { state, message }: OperationReport): Promise<void> {
    if (restore.status?.phase !== 'InProgress') return;
    const phase = state === 'Completed' ? 'Completed' : 'Failed';
    const finishedAt = timestamp(this.#world.clock.now());
    const status = { ...restore.status, phase, finishedAt, message: message.slice(0, messageMax) } as const;
    this.#world.restores.wrote(await this.#world.client.updateStatus(VMRestore, { ...restore, status }));
  }
}
