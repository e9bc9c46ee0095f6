/**
 * Framework messages between the cluster server and an executor: JSON in UTF-8, in the `data` of Mesos' MESSAGE calls. Mesos may
 * lose any of them, so each says everything anew and is safe to repeat.
 */
import type { MachineLaunch, VolumeOnHost, VolumeSource } from './launch.ts';

export type PowerState = 'On' | 'Off' | 'Paused';

export type MachinePhase = 'Provisioning' | 'Starting' | 'Running' | 'Paused' | 'Stopping' | 'Stopped' | 'Failed';

export interface MachineReport {
  readonly uid: string;
  readonly attempt: number;
  readonly taskId: string;
  readonly phase: MachinePhase;
  readonly power: PowerState;
  /** Restarts in place since the attempt began. */
  readonly restarts: number;
  readonly message?: string;
  /** Why it is paused, if nobody asked for it. Executors before 0.4 do not tell. */
  readonly pausedReason?: 'IOError';
  /** How it went off last by itself, if that did not end the task. Executors before 0.4 do not tell. */
  readonly lastEnd?: MachineEnd;
  /** What is in force. Executors before 0.4 do not tell, and keep what they were launched with. */
  readonly policy?: GuestPolicy;
  /** Its seed has secret parts, and they are not here yet. */
  readonly awaits?: 'Secrets';
  /** Absent for a machine that does not run, or was not asked yet. Executors before 0.5 do not tell. */
  readonly agent?: AgentReport;
  /** Of a machine that runs and was launched with a probe of readiness or startup, once it was tried as often as it has to be. */
  readonly readiness?: ProbeReport;
  /** Of one that was launched with it. Executors before 0.6 do not tell. */
  readonly fence?: FenceReport;
  /** How its last migration stands. Executors before 0.8 do not tell. */
  readonly migration?: MigrationReport;
}

/**
 * How a live migration stands at one of its two hosts. At the destination: Receiving, until it has taken the guest over or has given up, which ends the
 * task. At the source: Sending while the guest runs on there; Undecided once all was sent, the guest stands, and the destination has not said yet whether
 * it has taken it over; Failed when the guest goes on there. A source whose guest was taken over ends its task.
 */
export interface MigrationReport {
  readonly id: string;
  readonly state: 'Receiving' | 'Sending' | 'Undecided' | 'Failed';
  /** Why it failed, or what is waited for. */
  readonly message: string;
  /** Bytes of memory and disks, at the source. */
  readonly transferred?: number;
  readonly total?: number;
}

/** The host switches the machine off when no heartbeat was acknowledged that it sent within `afterMs`. */
export interface FenceReport {
  readonly afterMs: number;
  /** Whoever does it is there and knows of the machine. */
  readonly armed: boolean;
}

export interface ProbeReport {
  readonly ready: boolean;
  readonly message: string;
}

/** What the agent in a guest says of it: anybody's word, bounded by the executor. */
export type AgentReport =
  | { readonly connected: false }
  | {
      readonly connected: true;
      readonly version: string;
      readonly os?: string;
      readonly kernel?: string;
      readonly hostname?: string;
      readonly addresses: readonly GuestAddresses[];
    };

/** Of one interface, found by its MAC address (small letters). Without those that every interface gives itself. */
export interface GuestAddresses {
  readonly mac: string;
  readonly ips: readonly string[];
}

/** What to do in place when the guest goes off by itself. */
export type GuestPolicy = Pick<MachineLaunch, 'onGuestShutdown' | 'onGuestCrash'>;

export interface MachineEnd {
  readonly reason: 'GuestShutdown' | 'GuestCrashed' | 'HostLost' | 'LivenessFailed' | 'StartupTimeout';
  readonly message: string;
  /** RFC 3339, by the clock of the host. */
  readonly time: string;
}

export interface HostFacts {
  readonly hypervisor: 'libvirt' | 'sim';
  readonly kvm: boolean;
  readonly cpuModel: string;
  readonly libvirt?: string;
  readonly qemu?: string;
  /** It can send running machines to other hosts, and take them over. Executors before 0.8 do not tell. */
  readonly migrates?: true;
  /** Its kernel weighs what guests ask of its disks. Executors before 0.7 do not tell. */
  readonly ioWeights?: boolean;
  /** IPv4 address at which other hosts reach this one for subnets that both carry. Without it its subnets stay on it. */
  readonly tunnelAddress?: string;
  /** Executors before 0.7 do not tell, nor do hosts with more than `namesMax` of one sort. */
  readonly segments?: SegmentsReport;
}

/** Networks of the site that the host's configuration lets guests onto. Names of interfaces, of 15 characters at most. */
export interface SegmentsReport {
  readonly bridges: readonly string[];
  readonly nics: readonly string[];
}

/** Bridges, interfaces or Gluster volumes of one host that are told of and planned with. A part of a list would deny the rest. */
export const namesMax = 256;

/** What the executor found on its host, whoever made it. The proof that a domain is not there. */
export interface Inventory {
  readonly bootId: string;
  /** Domains with our metadata and installation. */
  readonly domains: readonly { readonly uid: string; readonly attempt: number; readonly power: PowerState }[];
  /** Domains of others: counted, never touched. */
  readonly foreign: { readonly count: number; readonly cores: number; readonly memoryMiB: number };
  /** Digests in the store of images. */
  readonly images: readonly string[];
  /** uids that have an overlay, a seed or a tap here. */
  readonly disks: readonly string[];
  /**
   * Digests of images that disks here stand on, read from the disks themselves, and of those that machines here are to be made of. Absent:
   * it could not be found out. Executors before 0.6 do not tell.
   */
  readonly backings?: readonly string[];
}

/** Every 10 s and at once on change. */
export interface Heartbeat {
  readonly type: 'heartbeat';
  readonly version: 1;
  readonly hostname: string;
  readonly bootId: string;
  /** Grows by one per heartbeat of one worker run. */
  readonly sequence: number;
  /** Random per start of the worker. */
  readonly workerId: string;
  readonly executorVersion: string;
  /** Of the process above the worker, which Mesos started. Executors before 0.7 do not tell. */
  readonly supervisorVersion?: string;
  readonly since: string;
  readonly facts: HostFacts;
  readonly console?: { readonly url: string; readonly token: string; readonly certificateSha256: string };
  /** What is secret is sealed for this key (lib/std/sealed-box.ts), which is new with every worker. Executors before 0.4 have none. */
  readonly sealKey?: string;
  readonly machines: readonly MachineReport[];
  /** Task ids of the imports in the journal. Executors before 0.2 do not tell. */
  readonly imports?: readonly string[];
  /** Whether machines may start on what their disks stand on. Executors before 0.6 do not tell. */
  readonly storage?: StorageReport;
  /** Where volumes are built in. Executors before 0.5 do not tell. */
  readonly volumes?: VolumesReport;
  /** Executors before 0.6 do not tell. */
  readonly images?: ImagesReport;
  /** Files of Images that are uploaded, in the store that the host sees. Absent: the host takes none. A few; executors before 0.7 do not tell. */
  readonly uploads?: readonly UploadReport[];
  /** Id of the peers order that is in force here; none yet, or an executor before 0.3: absent. */
  readonly peers?: string;
  /** With the first heartbeat of a worker and whenever asked for. */
  readonly inventory?: Inventory;
  /** Every operation since its order until the acknowledgement came. */
  readonly operations: readonly OperationReport[];
}

export interface UploadReport {
  /** Of the Image. */
  readonly uid: string;
  readonly received: number;
  /** Of the whole file. */
  readonly size: number;
  /** All of it is in the store. */
  readonly complete: boolean;
}

export interface ImagesReport {
  /** Stands for what is in the store (storeId). Absent while it cannot be read. */
  readonly store?: string;
  /** The first digits (cachedDigits) of the digests that the host has a copy of. Absent: it has no cache. */
  readonly cached?: readonly string[];
  /** Id of the images order that is in force here. */
  readonly order?: string;
  /** Of those that it is to have: what stands against it. A few. */
  readonly failed?: readonly { readonly digest: string; readonly message: string }[];
}

/** The host's view of the store of images. */
export interface StorageReport {
  /** Machines may start on it. */
  readonly usable: boolean;
  readonly reason: StorageReason;
  readonly message: string;
}

/** The first two are usable. Local: a directory of the host's own. */
export type StorageReason = 'Local' | 'Answers' | 'Hung' | 'Stale' | 'StoreFailed' | 'MountFailed' | 'QemuStuck';

export interface VolumesReport {
  /** Gluster volumes that the host may use. */
  readonly names: readonly string[];
  readonly mounts: readonly MountReport[];
  /** The last order about each Volume that this worker has carried out. */
  readonly orders: readonly VolumeOrderReport[];
  /** It can make a Volume larger that is there. Executors before 0.7 cannot. */
  readonly grows?: true;
  /** It can make a disk of what another one or an image has. Executors before 0.8 cannot. */
  readonly fills?: true;
  /** It can tell of, and remove, what is on a Gluster volume and belongs to no Volume. Executors before 0.8 cannot. */
  readonly lists?: true;
  /** What came of the last order to look, one for each Gluster volume. */
  readonly strays?: readonly StraysReport[];
  /** How much of what is being copied is there. */
  readonly filling?: readonly { readonly uid: string; readonly percent: number }[];
}

/** So many digits of a uid tell it from others for a look: what looks like a Volume that is there is not spoken of. */
export const knownDigits = 8;

/** What bears our mark on a Gluster volume, and belongs to no Volume that was known when it was asked for. */
export interface StraysReport {
  /** Of the order. */
  readonly id: string;
  /** Of the Gluster volume. */
  readonly name: string;
  /** Why nothing could be seen. */
  readonly error?: string;
  /** How many there are. */
  readonly count: number;
  /** The first of them to have been made. */
  readonly strays: readonly Stray[];
  /** Directories without a mark: whose they are nobody knows. */
  readonly unmarked: number;
}

export interface Stray {
  /** Of the Volume that it was. */
  readonly uid: string;
  readonly type: 'SharedFilesystem' | 'Disk';
  /** That it takes; absent if that could not be found out. */
  readonly bytes?: number;
  /** When it was made, in milliseconds since 1970. */
  readonly madeMs: number;
}

/** One Gluster volume as a host sees it. */
export interface MountReport {
  readonly name: string;
  /** Machines may start on it. */
  readonly usable: boolean;
  /** Healthy, or one word for what is wrong. */
  readonly reason: string;
  readonly message: string;
  readonly bricks?: { readonly online: number; readonly total: number };
  /** Files that wait to be healed; files of which Gluster does not know which copy is right. */
  readonly healPending?: number;
  readonly splitBrain?: number;
  /** Bytes, by the uid of the Volume. */
  readonly used?: Readonly<Record<string, number>>;
}

export interface VolumeOrderReport {
  readonly id: string;
  /** Of the Volume. */
  readonly uid: string;
  readonly state: 'Done' | 'Failed';
  /** Of a failure: one word. */
  readonly reason?: string;
  readonly message: string;
  /** Of one that was made: its size, which is less than was ordered while a machine may have the disk open. */
  readonly bytes?: number;
}

export interface OperationReport {
  readonly id: string;
  readonly uid: string;
  readonly state: 'InProgress' | 'Completed' | 'Failed';
  readonly message: string;
  /** Of a snapshot that was taken. */
  readonly result?: SnapshotResult;
}

/** What a snapshot has become: a file in the image store of the cluster, on which machines can stand as on any image. */
export interface SnapshotResult {
  /** sha256 of the file, 64 hex digits. No other snapshot has the same. */
  readonly digest: string;
  readonly format: 'qcow2';
  readonly size: number;
  readonly virtualSize: number;
  readonly consistency: 'Quiesced' | 'CrashConsistent';
  readonly indications: readonly SnapshotIndication[];
  /** Names of the machine's data disks and volumes, which are not in it. Executors before 0.7 do not tell. */
  readonly notKept?: readonly string[];
}

export type SnapshotIndication = 'GuestAgent' | 'NoGuestAgent' | 'QuiesceTimeout' | 'Paused' | 'Partial';

export type ExecutorMessage = Heartbeat;

export type OperationType = 'Start' | 'Stop' | 'Restart' | 'Reset' | 'Pause' | 'Resume';

/** Do this to that machine, once per id. Repeated until reported done. */
export interface OperationOrder {
  readonly type: 'operation';
  readonly version: 1;
  /** uid of the VMOperation, or a deterministic id for what the spec itself asks for. */
  readonly id: string;
  readonly uid: string;
  readonly attempt: number;
  readonly operation: OperationType;
  readonly force: boolean;
  readonly timeoutMs: number;
}

/**
 * Do this with a machine's disk, or with what was kept of it; once per id. Repeated until reported done among the operations. `snapshot` is the
 * uid of the VMSnapshot, by which the host finds all that there is of it.
 */
export type DiskOrder = DiskOrderBase &
  (
    | {
        /** Keeps the root disk of the machine `uid` as it is. */
        readonly order: 'Snapshot';
        readonly attempt: number;
        readonly consistency: 'Quiesced' | 'CrashConsistent' | 'QuiescedOrCrash';
      }
    | {
        /** Puts it back: what is on the machine's disk is lost. The machine must be off. */
        readonly order: 'Restore';
        readonly attempt: number;
        readonly digest: string;
      }
    /** Removes it from the image store. Whoever is still taking it stops. `uid` is the snapshot's, too. */
    | { readonly order: 'Discard' }
  );

interface DiskOrderBase {
  readonly type: 'disk';
  readonly version: 1;
  readonly id: string;
  readonly uid: string;
  readonly snapshot: string;
  readonly timeoutMs: number;
}

/**
 * The heartbeat with this sequence was heard, and these operations need not be reported again. Sent for heartbeats with an inventory,
 * operations or a machine with a fence only: all others say everything anew, and an answer to each would be most of what an idle cluster says
 * to Mesos.
 */
export interface HeartbeatAck {
  readonly type: 'ack';
  readonly version: 1;
  readonly workerId: string;
  readonly sequence: number;
  readonly operations: readonly string[];
}

export interface InventoryRequest {
  readonly type: 'inventory';
  readonly version: 1;
}

/** Our domains with these uids have no object any more and no live attempt: destroy them and their disks. */
export interface CleanupOrder {
  readonly type: 'cleanup';
  readonly version: 1;
  readonly uids: readonly string[];
}

/** The machine's runPolicy was changed since it was launched. Repeated until a heartbeat says that it is in force. */
export interface PolicyOrder extends GuestPolicy {
  readonly type: 'policy';
  readonly version: 1;
  readonly uid: string;
  readonly attempt: number;
}

/** Of one subnet. Each frame for everybody is sent to each of them: beyond that a subnet is too wide to be one. */
export const peersMax = 1024;

/**
 * To the source of a live migration: send the machine to that host, where a task waits for it. Done once per id, and repeated until a heartbeat names
 * it. What is begun goes on without the cluster server.
 */
export interface MigrateOrder {
  readonly type: 'migrate';
  readonly version: 1;
  /** Of the migration. */
  readonly id: string;
  readonly uid: string;
  /** Number of the attempt that is to be sent. */
  readonly attempt: number;
  /** Host, and its endpoint as its heartbeat told it. `token` opens this migration and nothing else (migrationToken). */
  readonly to: {
    readonly hostname: string;
    readonly url: string;
    readonly certificateSha256: string;
    readonly token: string;
  };
  /** Given up after this, if the guest still runs at the source. */
  readonly timeoutMs: number;
}

/**
 * To either host: the migration is to come to nothing. A destination that has not taken the guest over gives it up for good, and ends its task; a source
 * that has not sent everything goes on with its guest. With `gone` the destination is proven to have nothing of it: an Undecided guest goes on too.
 * Repeated until the heartbeats say so. Nothing where it is not under way.
 */
export interface MigrationEndOrder {
  readonly type: 'migration-end';
  readonly version: 1;
  readonly id: string;
  readonly uid: string;
  readonly gone: boolean;
  /** Why, for people. */
  readonly message: string;
}

/** Of every subnet that the host carries the other hosts that carry it, all anew. Repeated until a heartbeat names its id. */
export interface PeersOrder {
  readonly type: 'peers';
  readonly version: 1;
  /** The same for the same content. */
  readonly id: string;
  /** `peers`: their tunnel addresses. */
  readonly subnets: readonly { readonly vni: number; readonly peers: readonly string[] }[];
}

/** Of these images the host is to have a copy of its own, all anew. Repeated until a heartbeat names its id. */
export interface ImagesOrder {
  readonly type: 'images';
  readonly version: 1;
  /** The same for the same content. */
  readonly id: string;
  readonly digests: readonly string[];
}

/** No Image names these any more: copies go. With `store` also the files in the store: no disk of any host of the cluster stands on them. */
export interface CollectOrder {
  readonly type: 'collect';
  readonly version: 1;
  readonly digests: readonly string[];
  readonly store: boolean;
}

/** The Images with these uids are gone, or have all they need: what was uploaded for them goes. Repeated while a heartbeat names them. */
export interface DropUploadsOrder {
  readonly type: 'drop-uploads';
  readonly version: 1;
  readonly uids: readonly string[];
}

/** The secret parts of a machine's seed. Repeated with each heartbeat that says that it waits for them. */
export interface SeedOrder {
  readonly type: 'seed';
  readonly version: 1;
  readonly uid: string;
  readonly attempt: number;
  /** SeedSecrets as JSON, sealed in `seedContext`. */
  readonly sealed: string;
}

/** Make this Volume, or make it larger if it is there, or make it with what `source` has, or remove all that is in it. Repeated until a heartbeat says what became of it. */
export interface VolumeOrder {
  readonly type: 'volume';
  readonly version: 1;
  /** Another one for each try. */
  readonly id: string;
  /** discard: as remove, if it bears the mark of this installation. */
  readonly order: 'make' | 'fill' | 'remove' | 'discard';
  readonly installation: string;
  readonly volume: VolumeOnHost;
  /** Of `fill`. */
  readonly source?: VolumeSource;
}

/** Look what is on this Gluster volume beside these Volumes. Repeated until a heartbeat has its id. */
export interface VolumeListOrder {
  readonly type: 'volume-list';
  readonly version: 1;
  /** Another one for each look. */
  readonly id: string;
  readonly installation: string;
  readonly glusterVolume: string;
  /** The first digits (knownDigits) of the uids of all Volumes. */
  readonly known: readonly string[];
}

/** What was sealed for one attempt of one machine opens for no other. */
export function seedContext({ uid, attempt }: Pick<SeedOrder, 'uid' | 'attempt'>): string {
  return `seed/${uid}/${attempt}`;
}

export type SchedulerMessage =
  | OperationOrder
  | DiskOrder
  | HeartbeatAck
  | InventoryRequest
  | CleanupOrder
  | CollectOrder
  | DropUploadsOrder
  | ImagesOrder
  | MigrateOrder
  | MigrationEndOrder
  | PeersOrder
  | PolicyOrder
  | SeedOrder
  | VolumeOrder
  | VolumeListOrder;
