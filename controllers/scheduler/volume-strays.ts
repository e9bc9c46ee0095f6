/**
 * What is on the Gluster volumes of this cluster and belongs to no Volume: data of Volumes that were deleted with reclaimPolicy Retain, or that an
 * older copy of the control plane does not know. Hosts are asked now and then, one for each Gluster volume. Nothing is removed unless somebody
 * names it in an annotation of the Cluster, and then only what was found, still has no Volume, and is used by nobody.
 */
import type { Cluster } from '#lib/api/generated/cluster.ts';
import { knownDigits, type Stray, type StraysReport, type VolumeOrderReport } from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { annotations } from '#lib/api/names.ts';
import { formatMiB } from '#lib/api/quantity.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { ExecutorFact } from './executor-book.ts';
import type { World } from './world.ts';

export type OrphanVolumes = NonNullable<NonNullable<Cluster['status']>['orphanVolumes']>;
type Row = NonNullable<OrphanVolumes['items']>[number];

export const straysPeriodMs = 15_000;
const lookEveryMs = 10 * 60_000;
/** Then another host is asked. */
const answerMs = 5 * 60_000;
const againMs = 60_000;
const rowsMax = 64;
const messageMax = 2048;

interface Order {
  readonly id: string;
  readonly host: string;
  /** Monotonic. */
  readonly sinceMs: number;
}

interface Look {
  /** One that has not been answered yet. */
  readonly asked?: Order | undefined;
  readonly report?: StraysReport | undefined;
  /** Monotonic: when that came, or came to nothing. */
  readonly heardMs: number;
  /** Something happened since it was asked: what is answered may be older. */
  readonly isDue: boolean;
  /** How many orders there were. */
  readonly count: number;
}

interface Removal {
  readonly order: Order;
  readonly tries: number;
  readonly failure?: VolumeOrderReport;
}

export class VolumeStrays {
  readonly #world: World;
  /** By Gluster volume. */
  readonly #looks = new Map<string, Look>();
  /** By uid. */
  readonly #removals = new Map<string, Removal>();
  /** Volumes that there were at the last look: uid -> Gluster volume. */
  #there: ReadonlyMap<string, string> = new Map();
  #summary: OrphanVolumes | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** undefined until a host has looked. */
  get summary(): OrphanVolumes | undefined {
    return this.#summary;
  }

  /** To be called every now and then. */
  async look(): Promise<void> {
    const { executors, clock } = this.#world;
    const hosts = executors.alive(clock.monotonic()).filter(({ heartbeat }) => heartbeat.volumes?.lists);
    const names = new Set(hosts.flatMap(({ heartbeat }) => heartbeat.volumes!.names));
    for (const name of this.#looks.keys()) if (!names.has(name)) this.#looks.delete(name);
    this.#hastenAfterDeletions();
    for (const name of names) {
      const able = hosts.filter(({ heartbeat }) => heartbeat.volumes!.names.includes(name));
      await this.#lookAt(name, able);
      await this.#remove(name, able);
    }
    this.#summary = this.#sum();
  }

  /** What a Volume leaves is to be seen when it is gone, not ten minutes later. */
  #hastenAfterDeletions(): void {
    const now = new Map(
      this.#world.volumes.list().map(({ metadata, spec }) => [metadata.uid, spec.backend.gluster.volume]),
    );
    for (const [uid, name] of this.#there) {
      const look = this.#looks.get(name);
      if (!now.has(uid) && look) this.#looks.set(name, { ...look, isDue: true });
    }
    this.#there = now;
  }

  async #lookAt(name: string, hosts: readonly ExecutorFact[]): Promise<void> {
    const { clock, installation, volumes, tell } = this.#world;
    const nowMs = clock.monotonic();
    const look = this.#heard(name, hosts, nowMs);
    const { asked } = look;
    const isAnswerable =
      asked && hosts.some(({ hostname }) => hostname === asked.host) && nowMs - asked.sinceMs < answerMs;
    if (!asked && !look.isDue && nowMs - look.heardMs < lookEveryMs) return void this.#looks.set(name, look);
    const host = hosts.map(({ hostname }) => hostname).toSorted()[look.count % hosts.length]!;
    const fresh = { id: `look-${name}-${clock.now()}-${look.count}`, host, sinceMs: nowMs };
    const order = isAnswerable ? asked : fresh;
    const isDue = isAnswerable === true && look.isDue;
    this.#looks.set(name, { ...look, asked: order, isDue, count: look.count + (isAnswerable ? 0 : 1) });
    const known = volumes.list().map(({ metadata }) => metadata.uid.slice(0, knownDigits));
    const { id } = order;
    await tell(order.host, { type: 'volume-list', version: 1, id, installation, glusterVolume: name, known });
  }

  #heard(name: string, hosts: readonly ExecutorFact[], nowMs: number): Look {
    const look = this.#looks.get(name) ?? { heardMs: Number.NEGATIVE_INFINITY, isDue: true, count: 0 };
    const { asked, ...rest } = look;
    const report = hosts
      .find(({ hostname }) => hostname === asked?.host)
      ?.heartbeat.volumes?.strays?.find(({ id }) => id === asked?.id);
    if (!report) return look;
    if (report.error === undefined) return { ...rest, report, heardMs: nowMs };
    this.#world.log.warn('A host cannot look what is on a Gluster volume', {
      ...{ volume: name, host: asked?.host, reason: report.error },
    });
    // What was seen before still counts, and another host is asked soon.
    return { ...rest, heardMs: nowMs - lookEveryMs + againMs };
  }

  /** What somebody has asked for. Who is told has to find the mark of this installation once more. */
  async #remove(name: string, hosts: readonly ExecutorFact[]): Promise<void> {
    const { clusters, cluster, clock } = this.#world;
    const words = clusters.get(cluster)?.metadata.annotations?.[annotations.removeVolumes] ?? '';
    const wanted = new Set(words.split(',').map((word) => word.trim()));
    for (const stray of this.#found(name)) {
      const { uid } = stray;
      if (!wanted.has(uid) || this.#userOf(uid) !== undefined) continue;
      const removal = this.#removals.get(uid);
      const report = removal && reportOf(removal.order, hosts);
      if (report?.state === 'Done') this.#forget(name, uid);
      else if (report && removal.failure?.id !== report.id) this.#removals.set(uid, { ...removal, failure: report });
      else await this.#order(name, stray, removal, hosts, clock.monotonic());
    }
  }

  async #order(
    name: string,
    { uid, type }: Stray,
    removal: Removal | undefined,
    hosts: readonly ExecutorFact[],
    nowMs: number,
  ): Promise<void> {
    const { installation, tell } = this.#world;
    const isOpen = removal && !removal.failure && hosts.some(({ hostname }) => hostname === removal.order.host);
    if (removal && !isOpen && nowMs - removal.order.sinceMs < againMs) return;
    const tries = isOpen ? removal.tries : (removal?.tries ?? 0) + 1;
    const host = hosts.map(({ hostname }) => hostname).toSorted()[tries % hosts.length]!;
    const order = isOpen ? removal.order : { id: `${uid}-discard-${this.#world.clock.now()}`, host, sinceMs: nowMs };
    this.#removals.set(uid, { order, tries });
    const volume = { uid, type, glusterVolume: name, bytes: 1 };
    await tell(order.host, { type: 'volume', version: 1, id: order.id, order: 'discard', installation, volume });
  }

  #forget(name: string, uid: string): void {
    this.#removals.delete(uid);
    const look = this.#looks.get(name)!;
    const { report } = look;
    const strays = report!.strays.filter((stray) => stray.uid !== uid);
    this.#looks.set(name, { ...look, report: { ...report!, strays, count: report!.count - 1 } });
    this.#world.log.info('Removed what belonged to no Volume', { uid, volume: name });
  }

  /** Without those that have a Volume by now. */
  #found(name: string): readonly Stray[] {
    const { volumes } = this.#world;
    const strays = this.#looks.get(name)?.report?.strays ?? [];
    if (strays.length === 0) return [];
    const known = new Set(volumes.list().map(({ metadata }) => metadata.uid));
    return strays.filter(({ uid }) => !known.has(uid));
  }

  /** Whoever has it all the same; undefined: nobody. */
  #userOf(uid: string): string | undefined {
    const { executors, machines } = this.#world;
    // Also hosts that are silent: they may go on.
    const host = executors
      .all()
      .find(({ heartbeat }) => heartbeat.volumes?.mounts.some(({ used }) => used?.[uid] !== undefined));
    if (host) return `Host ${host.hostname} has it in use`;
    const machine = machines.list().find(({ status }) => status?.volumes?.some((volume) => volume.uid === uid));
    return machine && `Machine ${keyOf(machine)} has it`;
  }

  #sum(): OrphanVolumes | undefined {
    const reports = [...this.#looks].flatMap(([name, { report }]) => (report ? [{ name, report }] : []));
    if (reports.length === 0) return undefined;
    const items = reports.flatMap(({ name }) => this.#found(name).map((stray) => this.#row(name, stray)));
    const untold = reports.reduce((sum, { report }) => sum + report.count - report.strays.length, 0);
    const unmarked = reports.reduce((sum, { report }) => sum + report.unmarked, 0);
    return { count: items.length + untold, ...(unmarked > 0 && { unmarked }), items: items.slice(0, rowsMax) };
  }

  #row(glusterVolume: string, { uid, type, bytes, madeMs }: Stray): Row {
    const user = this.#userOf(uid);
    const removal = this.#removals.get(uid);
    const failure = removal?.failure && `Host ${removal.order.host}: ${removal.failure.message}. It is tried again`;
    const message = user ?? failure;
    return {
      ...{ uid, glusterVolume, type, made: timestamp(madeMs) },
      ...(bytes !== undefined && { used: formatMiB(Math.ceil(bytes / 2 ** 20)) }),
      reason: user ? 'InUse' : removal ? 'Removing' : 'NoVolume',
      ...(message !== undefined && { message: message.slice(0, messageMax) }),
    };
  }
}

function reportOf({ id, host }: Order, hosts: readonly ExecutorFact[]): VolumeOrderReport | undefined {
  const fact = hosts.find(({ hostname }) => hostname === host);
  return fact?.heartbeat.volumes?.orders.find((report) => report.id === id);
}
