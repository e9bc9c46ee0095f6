/** Imports images into this cluster's store: a task on one of its hosts each, never in the control plane. */
import { parseDuration } from '#lib/api/duration.ts';
import { Image } from '#lib/api/generated/image.ts';
import { keyOf } from '#lib/api/meta.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import {
  advanced,
  ended,
  givenUp,
  type ImportRow,
  isDue,
  isForgotten,
  rowOf,
  started,
  withRow,
} from './import-rows.ts';
import { launchOn } from './launcher.ts';
import type { KnownTask } from './reconciliation.ts';
import { imageImport, importAsk } from './tasks.ts';
import type { World } from './world.ts';

const atOnce = 4;
/** An executor ends an import in time itself; so long after that it has forgotten it, if it does not tell. */
const overdueMs = 60_000;
const killEveryMs = 30_000;
/** The agent of an import that Mesos cannot reach for so long is given up. */
const awayMs = 600_000;

export class Imports {
  readonly #world: World;
  readonly #mayLaunch: () => boolean;
  #looking = false;
  /** Task -> (monotonic) when it may be killed again. */
  readonly #killMs = new Map<string, number>();
  /** Task that Mesos cannot reach -> (monotonic) since when. */
  readonly #awayMs = new Map<string, number>();
  /** Task of which nothing was heard -> (monotonic) since when it is known. */
  readonly #unheardMs = new Map<string, number>();

  constructor(world: World, mayLaunch: () => boolean) {
    this.#world = world;
    this.#mayLaunch = mayLaunch;
  }

  get hasWork(): boolean {
    const nowMs = this.#world.clock.now();
    return this.#world.images.list().some((image) => isDue(rowOf(image, this.#world.cluster), nowMs));
  }

  knownTasks(): readonly KnownTask[] {
    return this.#running().map(({ row }) => ({ taskId: row.taskID!, agentId: row.agentID ?? '' }));
  }

  /**
   * Tasks of which nothing was heard for so long, to be asked for: an ACCEPT is not answered, and an intent may be that of a server before
   * this one, stored late and never sent. To be called often.
   */
  silent(forMs: number): readonly KnownTask[] {
    const { tasks, clock } = this.#world;
    const nowMs = clock.monotonic();
    const unheard = this.knownTasks().filter(({ taskId }) => tasks.get(taskId) === undefined);
    const ids = new Set(unheard.map(({ taskId }) => taskId));
    for (const id of this.#unheardMs.keys()) if (!ids.has(id)) this.#unheardMs.delete(id);
    for (const id of ids) if (!this.#unheardMs.has(id)) this.#unheardMs.set(id, nowMs);
    return unheard.filter(({ taskId }) => nowMs - this.#unheardMs.get(taskId)! >= forMs);
  }

  /** It is the task of an import that has not ended yet. */
  owns(taskId: string): boolean {
    return this.#running().some(({ row }) => row.taskID === taskId);
  }

  /** To be called every second or so, when an image changes, and when an import's task is heard of. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#lookOnce();
    } finally {
      this.#looking = false;
    }
  }

  async #lookOnce(): Promise<void> {
    for (const { image, row } of this.#running()) await this.#tryTo(image, () => this.#follow(image, row));
    if (!this.#mayLaunch()) return;
    for (const image of this.#world.images.list()) {
      if (this.#running().length >= atOnce) return;
      const row = rowOf(image, this.#world.cluster);
      if (image.metadata.deletionTimestamp || !isDue(row, this.#world.clock.now())) continue;
      await this.#tryTo(image, () => this.#start(image, row));
    }
  }

  #running(): { readonly image: Image; readonly row: ImportRow }[] {
    return this.#world.images.list().flatMap((image) => {
      const row = rowOf(image, this.#world.cluster);
      return row?.taskID === undefined ? [] : [{ image, row }];
    });
  }

  async #tryTo(image: Image, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!isCode(error, 'Conflict', 'NotFound'))
        this.#world.log.warn('Import not advanced', { image: keyOf(image), reason: messageOf(error) });
    }
  }

  async #follow(image: Image, row: ImportRow): Promise<void> {
    const { tasks, ledger, clock, random } = this.#world;
    const taskId = row.taskID!;
    ledger.occupy(taskId, row.host ?? '', importAsk);
    const acks = tasks.pendingAcks(taskId);
    const task = this.#isGivenUp(row) ? givenUp(row, tasks.get(taskId)) : tasks.get(taskId);
    const next = ended(row, task, clock.now(), random);
    const news = next ?? advanced(row, task);
    if (news) await this.#store(image, news);
    for (const { agentId, uuid } of acks) {
      const acknowledge = { agent_id: { value: agentId }, task_id: { value: taskId }, uuid };
      await this.#world.call({ type: 'ACKNOWLEDGE', acknowledge });
    }
    tasks.acknowledged(acks);
    if (!next) return await this.#endIfLost(image, row);
    this.#killMs.delete(taskId);
    this.#awayMs.delete(taskId);
    ledger.release(taskId);
    tasks.forget(taskId);
  }

  /** Nobody hears of it any more: its host is away for long, or registered as another agent. */
  #isGivenUp({ taskID = '', host = '', agentID }: ImportRow): boolean {
    const { tasks, agents, clock } = this.#world;
    const nowMs = clock.monotonic();
    if (tasks.get(taskID)?.state !== 'TASK_UNREACHABLE') this.#awayMs.delete(taskID);
    else if (!this.#awayMs.has(taskID)) this.#awayMs.set(taskID, nowMs);
    const now = agents.get(host)?.agentId;
    return (now !== undefined && now !== agentID) || nowMs - (this.#awayMs.get(taskID) ?? nowMs) >= awayMs;
  }

  /** For Mesos a forgotten task ends by being killed. */
  async #endIfLost({ spec }: Image, row: ImportRow): Promise<void> {
    const { tasks, executors, clock } = this.#world;
    const taskId = row.taskID!;
    const task = tasks.get(taskId);
    const { begunMs, agentId } = task ?? {};
    const nowMs = clock.monotonic();
    if (begunMs === undefined || agentId === undefined) return;
    const wasForgotten = isForgotten(row, task, executors.get(row.host ?? ''));
    const isOverdue = nowMs >= begunMs + parseDuration(spec.limits.timeout) + overdueMs;
    if (!(wasForgotten || isOverdue) || nowMs < (this.#killMs.get(taskId) ?? 0)) return;
    this.#killMs.set(taskId, nowMs + killEveryMs);
    await this.#world.call({ type: 'KILL', kill: { task_id: { value: taskId }, agent_id: { value: agentId } } });
  }

  async #start(image: Image, row: ImportRow): Promise<void> {
    const host = this.#world.placement.choose({ room: importAsk });
    const agentId = host && this.#world.agents.get(host)?.agentId;
    if (!host || !agentId) return;
    const next = started(row, image.metadata.uid, { host, agentId });
    this.#world.ledger.occupy(next.taskID!, host, importAsk);
    try {
      await this.#store(image, next);
    } catch (error) {
      this.#world.ledger.release(next.taskID!);
      throw error;
    }
    const launch = imageImport(image, next.attempts!, this.#world.installation);
    if ((await launchOn(this.#world, host, [{ launch, ask: importAsk }])) === 'Sent') return;
    // Nothing left us: the row may go back at once.
    this.#world.ledger.release(next.taskID!);
    const stored = this.#world.images.get(keyOf(image)) ?? image;
    const { taskID: _t, agentID: _a, host: _h, ...rest } = next;
    await this.#store(stored, { ...rest, phase: 'Pending', message: 'Waiting for an offer' });
  }

  async #store(image: Image, row: ImportRow): Promise<void> {
    await storeRow(this.#world, image, row);
  }
}

/** Writes one row into the newest state of the image that is known. */
export async function storeRow(world: World, image: Image, row: ImportRow): Promise<void> {
  const current = world.images.get(keyOf(image)) ?? image;
  const status = withRow(current, row);
  world.images.wrote(await world.client.updateStatus(Image, { ...current, status }));
}
