/** Has Volumes made and removed by hosts of this cluster, and says what hosts see of them. */
import { isDeepStrictEqual } from 'node:util';
import { Volume } from '#lib/api/generated/volume.ts';
import { keyOf } from '#lib/api/meta.ts';
import { onceMore } from '#lib/std/again.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { volumeOnHost } from './tasks.ts';
import {
  asResize,
  type BackendOrder,
  healthOf,
  isToGrow,
  nextBackend,
  nextResize,
  orderFor,
  orderId,
  sourceOnHost,
  usedOf,
} from './volume-backend.ts';
import type { World } from './world.ts';

/** Executors forget what they were told when they are started anew. */
const repeatMs = 5_000;
/** What is used changes all the time. */
const usedPaceMs = 30_000;

export class Volumes {
  readonly #world: World;
  /** Order -> (monotonic) when it was sent last. */
  readonly #sentMs = new Map<string, number>();
  /** uid -> (monotonic) when its status was written last. */
  readonly #writtenMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Something is to be done by a host. */
  get hasWork(): boolean {
    return this.#world.volumes.list().some((volume) => orderFor(volume) !== undefined || isToGrow(volume));
  }

  /** To be called every now and then, when a volume changes, and when hosts tell something new of volumes. */
  readonly look = onceMore(() => this.#lookOnce());

  async #lookOnce(): Promise<void> {
    const volumes = this.#world.volumes.list();
    const known = new Set(volumes.map(({ metadata }) => metadata.uid));
    for (const uid of this.#writtenMs.keys()) if (!known.has(uid)) this.#writtenMs.delete(uid);
    for (const volume of volumes) {
      try {
        await this.#advance(volume);
      } catch (error) {
        if (!isCode(error, 'Conflict', 'NotFound'))
          this.#world.log.warn('Volume not advanced', { volume: keyOf(volume), reason: messageOf(error) });
      }
    }
  }

  async #advance(volume: Volume): Promise<void> {
    const { clock, random, executors } = this.#world;
    const hosts = executors.alive(clock.monotonic());
    const order = orderFor(volume);
    const { health: _h, used: _u, resize: _r, ...old } = volume.status ?? {};
    const backend = order ? nextBackend(volume, order, hosts, clock.now(), random) : old.backend;
    const resize = nextResize(volume, hosts, clock.now(), random);
    const [health, used] = [healthOf(volume, hosts), usedOf(volume, hosts) ?? volume.status?.used];
    const next: Volume['status'] = {
      ...old,
      ...(backend && { backend }),
      ...resize,
      ...(health && { health }),
      ...(used !== undefined && { used }),
    };
    const stored = await this.#store(volume, next);
    if (order && (backend?.state === 'Making' || backend?.state === 'Removing'))
      await this.#send(stored, order, backend.host!);
    if (resize?.resize?.state === 'Making') await this.#send(asResize(stored), 'make', resize.resize.host!);
  }

  async #store(volume: Volume, status: NonNullable<Volume['status']>): Promise<Volume> {
    const { clock, client, volumes } = this.#world;
    const { uid } = volume.metadata;
    if (isDeepStrictEqual(status, volume.status ?? {})) return volume;
    const { used: _, ...rest } = volume.status ?? {};
    const isUsedAlone = isDeepStrictEqual({ ...status, used: undefined }, { ...rest, used: undefined });
    const nowMs = clock.monotonic();
    if (isUsedAlone && nowMs - (this.#writtenMs.get(uid) ?? Number.NEGATIVE_INFINITY) < usedPaceMs) return volume;
    this.#writtenMs.set(uid, nowMs);
    const stored = await client.updateStatus(Volume, { ...volume, status });
    volumes.wrote(stored);
    return stored;
  }

  async #send(volume: Volume, order: BackendOrder, host: string): Promise<void> {
    const { clock, installation, tell } = this.#world;
    const id = orderId(volume, order);
    const nowMs = clock.monotonic();
    for (const [known, sentMs] of this.#sentMs) if (nowMs - sentMs >= repeatMs) this.#sentMs.delete(known);
    const sending = `${id} ${host}`;
    if (this.#sentMs.has(sending)) return;
    this.#sentMs.set(sending, nowMs);
    const source = order === 'fill' ? sourceOnHost(volume) : undefined;
    const what = { volume: volumeOnHost(volume), ...(source && { source }) };
    await tell(host, { type: 'volume', version: 1, id, order, installation, ...what });
  }
}
