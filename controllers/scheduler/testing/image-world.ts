/** A World of images and hosts only: what hosts say is put in, what they are told and what is written comes out. */
import type { Host } from '#lib/api/generated/host.ts';
import type { Image } from '#lib/api/generated/image.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { storeId } from '#lib/api/image-digests.ts';
import type { Heartbeat, ImagesReport, SchedulerMessage } from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { ExecutorBook } from '../executor-book.ts';
import { type ImportRow, rowOf } from '../import-rows.ts';
import type { World } from '../world.ts';

export interface Told {
  readonly hostname: string;
  readonly message: SchedulerMessage;
}

/** What one host says. `backings`: undefined if it does not tell. */
export interface HostWords {
  readonly store?: readonly string[];
  readonly backings?: readonly string[] | undefined;
  readonly images?: ImagesReport;
  /** What it says now comes without an inventory. */
  readonly short?: boolean;
  /** What else its heartbeat says. */
  readonly heartbeat?: Partial<Heartbeat>;
}

export function imageWorld() {
  const clock = new VirtualClock(async () => undefined);
  const images = new Map<string, Image>();
  const hosts = new Map<string, Host>();
  const machines: VirtualMachine[] = [];
  const executors = new ExecutorBook();
  const told: Told[] = [];
  const clusterLabels: Record<string, string> = {};
  let [sequence, writes] = [0, 0];
  const world = {
    ...{ clock, log: silentLog, cluster: 'lab', startedMs: clock.monotonic(), executors },
    images: { list: () => [...images.values()], get: (key: string) => images.get(key), wrote: () => undefined },
    machines: { list: () => machines },
    hosts: { list: () => [...hosts.values()], get: (name: string) => hosts.get(name) },
    ledger: { views: () => [] },
    clusters: { get: () => ({ metadata: { name: 'lab', labels: clusterLabels } }) },
    agents: { get: (hostname: string) => ({ hostname, attributes: { rack: hostname.slice(-1) } }) },
    client: {
      updateStatus: async (_kind: unknown, image: Image) => {
        writes++;
        images.set(keyOf(image), image);
        return image;
      },
    },
    tell: async (hostname: string, message: SchedulerMessage) => {
      told.push({ hostname, message });
      return true;
    },
  } as unknown as World;
  return {
    ...{ world, clock, machines, told, clusterLabels },
    writes: () => writes,
    /** An Image with a row of this cluster. */
    image(name: string, row: Partial<ImportRow>, more: Partial<Image['spec']> = {}): void {
      const spec = { source: { file: { path: name } }, ...more };
      const metadata = { name, namespace: 'default', uid: name };
      const { digest } = row;
      const status = { ...(digest && { digest }), clusters: [{ name: 'lab', phase: 'Ready' as const, ...row }] };
      images.set(`default/${name}`, { metadata, spec, status } as unknown as Image);
    },
    remove: (name: string) => void images.delete(`default/${name}`),
    row: (name: string) => rowOf(images.get(`default/${name}`)!, 'lab')!,
    /** It is known by its object, whether or not it has ever spoken. */
    host(hostname: string, bootID: string | undefined): void {
      const name = hostObjectName('lab', hostname);
      hosts.set(name, { metadata: { name }, spec: { hostname }, status: { ...(bootID && { bootID }) } } as never);
    },
    says(
      hostname: string,
      { store = [], backings, images: report, short = false, heartbeat: more = {} }: HostWords,
    ): void {
      const inventory = { bootId: 'b', domains: [], foreign: { count: 0, cores: 0, memoryMiB: 0 }, disks: [] };
      const heartbeat = {
        ...{ hostname, bootId: 'b', sequence: ++sequence, workerId: hostname, machines: [], operations: [] },
        images: { store: storeId(store), ...report },
        ...more,
        ...(!short && { inventory: { ...inventory, images: store, ...(backings && { backings }) } }),
      } as unknown as Heartbeat;
      executors.hear({ hostname, agentId: hostname, executorId: 'e' }, heartbeat, clock.monotonic());
    },
    /** Forgotten once read. */
    heard: (): readonly Told[] => told.splice(0),
  };
}
