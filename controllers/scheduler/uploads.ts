/**
 * Images whose bytes somebody sends: gives each a host that takes them, tells how far they are, hands them over to the imports once they are
 * whole, and has removed what no Image needs. The bytes go from the API server to the host, by status.clusters[].host.
 */
import type { Image } from '#lib/api/generated/image.ts';
import { keyOf } from '#lib/api/meta.ts';
import { onceMore } from '#lib/std/again.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { type ExecutorFact, isAlive, isSilent } from './executor-book.ts';
import { rowOf } from './import-rows.ts';
import { storeRow } from './imports.ts';
import { launchOn } from './launcher.ts';
import { lookAsk, lookWork } from './look-task.ts';
import { nextUploadRow, takes, waitingRow } from './upload-rows.ts';
import type { World } from './world.ts';

/** An executor that was started is heard of by then, and a host that did not start one may do so. */
const startEveryMs = 60_000;
/** An Image that was just made may be on its way here. */
const unknownMs = 30_000;

const over: readonly (string | undefined)[] = ['Ready', 'Failed'];

export class Uploads {
  readonly #world: World;
  /** uid of an Image -> (monotonic) when its row was written last. */
  readonly #toldMs = new Map<string, number>();
  /** uid that no Image has -> (monotonic) since when a host names it. */
  readonly #unknownMs = new Map<string, number>();
  /** Monotonic: when a host was made to start its executor. */
  #startedMs = Number.NEGATIVE_INFINITY;
  #wants = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** An offer of a host without an executor is wanted. */
  get hasWork(): boolean {
    return this.#wants;
  }

  /** To be called every few seconds, when an image changes, and when a host has something new to tell. */
  readonly look = onceMore(() => this.#lookOnce());

  async #lookOnce(): Promise<void> {
    const { images, executors, clock } = this.#world;
    const alive = executors.alive(clock.monotonic());
    const waiting = new Map<string, Image>();
    for (const image of images.list()) {
      const row = waitingRow(image, this.#world.cluster);
      if (!row) continue;
      waiting.set(image.metadata.uid, image);
      await this.#advance(image, alive);
    }
    const [first] = waiting.values();
    this.#wants = first !== undefined && !alive.some(takes) && (await this.#isWithoutHost(first));
    for (const uid of this.#toldMs.keys()) if (!waiting.has(uid)) this.#toldMs.delete(uid);
    await this.#drop(alive);
  }

  async #advance(image: Image, alive: readonly ExecutorFact[]): Promise<void> {
    const { cluster, clock, log } = this.#world;
    const { uid } = image.metadata;
    const nowMs = clock.monotonic();
    const toldMs = this.#toldMs.get(uid) ?? Number.NEGATIVE_INFINITY;
    const isAway = (hostname: string) => this.#isAway(hostname);
    const next = nextUploadRow(image, waitingRow(image, cluster)!, { alive, isAway, nowMs, toldMs });
    if (!next) return;
    try {
      await storeRow(this.#world, image, next);
      this.#toldMs.set(uid, nowMs);
    } catch (error) {
      // Its event brings us back.
      if (!isCode(error, 'Conflict', 'NotFound'))
        log.warn('Upload not told', { image: keyOf(image), reason: messageOf(error) });
    }
  }

  /** Nobody is there who takes files, and Mesos starts an executor with a task only. False once one is being started, or none can be. */
  async #isWithoutHost({ metadata: { namespace = '', name } }: Image): Promise<boolean> {
    const { clock, executors, ledger } = this.#world;
    const nowMs = clock.monotonic();
    if (nowMs < this.#startedMs + startEveryMs) return false;
    const bare = ledger
      .views()
      .filter(({ host }) => host.readiness === 'Ready' && !isAlive(executors.get(host.hostname), nowMs));
    const offered = bare.find(({ offered: room }) => room && room.cpu >= lookAsk.cpu && room.mem >= lookAsk.mem);
    if (!offered) return bare.length > 0;
    const work = lookWork(this.#world, { namespace, name });
    if ((await launchOn(this.#world, offered.host.hostname, [work])) === 'NotSent') return true;
    this.#startedMs = nowMs;
    return false;
  }

  #isAway(hostname: string): boolean {
    const { executors, clock, startedMs } = this.#world;
    const fact = executors.get(hostname);
    return fact?.lostMs !== undefined || isSilent(fact, clock.monotonic(), startedMs);
  }

  async #drop(alive: readonly ExecutorFact[]): Promise<void> {
    const needless = this.#needless(alive);
    for (const { hostname, heartbeat } of alive) {
      const uids = (heartbeat.uploads ?? []).map(({ uid }) => uid).filter((uid) => needless.has(uid));
      if (uids.length > 0) await this.#world.tell(hostname, { type: 'drop-uploads', version: 1, uids });
    }
  }

  /** Of Images that are gone, and of those that have been imported, or have failed: who tries again sends it again. */
  #needless(alive: readonly ExecutorFact[]): ReadonlySet<string> {
    const { images, cluster, clock } = this.#world;
    const reported = new Set(alive.flatMap(({ heartbeat }) => (heartbeat.uploads ?? []).map(({ uid }) => uid)));
    for (const uid of this.#unknownMs.keys()) if (!reported.has(uid)) this.#unknownMs.delete(uid);
    if (reported.size === 0) return reported;
    const known = new Map(images.list().map((image) => [image.metadata.uid, image]));
    const nowMs = clock.monotonic();
    return new Set(
      [...reported].filter((uid) => {
        const image = known.get(uid);
        if (image) {
          this.#unknownMs.delete(uid);
          const isOver = over.includes(rowOf(image, cluster)?.phase);
          return isOver || image.metadata.deletionTimestamp !== undefined;
        }
        const sinceMs = this.#unknownMs.get(uid) ?? nowMs;
        this.#unknownMs.set(uid, sinceMs);
        return nowMs - sinceMs >= unknownMs;
      }),
    );
  }
}
