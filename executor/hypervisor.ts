/**
 * What a hypervisor must do for us. Two drivers: libvirt/ (real) and sim/ (imitation for laptops and scale); both pass
 * executor/hypervisor.suite.ts. Drivers are stupid: every decision is made above. Each method is safe to repeat.
 */
import type { Duplex } from 'node:stream';
import type {
  DiskLimits,
  MachineDisk,
  MachineNetwork,
  MachineVolume,
  VolumeOnHost,
  VolumeSource,
} from '#lib/api/launch.ts';
import type { HostFacts, MountReport, PowerState, StraysReport } from '#lib/api/messages.ts';
import type { DiskBase } from './disks/own-disk.ts';
import type { Seed } from './seed/seed.ts';

/** Everything a domain is made of; paths exist when it is defined. */
export interface DomainSpec {
  readonly uid: string;
  readonly installation: string;
  readonly namespace: string;
  readonly name: string;
  readonly attempt: number;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly rootDisk: string;
  readonly rootDiskLimits?: DiskLimits;
  readonly dataDisks?: readonly DataDisk[];
  /** Of its requests to the host's disks, where the kernel weighs them: 100 to 1000. */
  readonly ioWeight?: number;
  readonly seedDisk: string;
  /** The guest sees the seed as a CD-ROM, not as a disk. */
  readonly seedRemovable?: boolean;
  readonly nics: readonly {
    readonly tap: string;
    readonly bridge: string;
    readonly mac: string;
    readonly mtu: number;
    /** The guest starts without a carrier there, until `plug`. */
    readonly unplugged?: true;
  }[];
  readonly volumes?: readonly DomainVolume[];
  /** Unix socket on which the serial console is to listen, and the file its output is logged to. */
  readonly consoleSocket: string;
  readonly consoleLog: string;
  /** Unix socket on which the screen is to be served as RFB (VNC). */
  readonly vncSocket: string;
}

/** Of QEMU's guest agent: `{"execute": "guest-ping"}`. */
export interface AgentCommand {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** What cannot be done with a machine as it is now. The message is for its user, and tells nothing of the host. */
export class MachineError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MachineError';
  }
}

/** A machine cannot be reached by its host as it is made. The message is for its user. */
export class NoWayError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoWayError';
  }
}

/** A directory that the guest mounts by its name (virtiofs), or a qcow2 disk that bears it as its serial number. */
export interface DomainVolume {
  readonly name: string;
  readonly type: 'SharedFilesystem' | 'Disk';
  /** Of a directory that the guest must not write to: one through which nobody can. */
  readonly path: string;
  /** Of a disk: the guest must not write to it. */
  readonly readOnly?: true;
}

/** A qcow2 disk of the machine's own that stands on nothing, and bears its name as its serial number. */
export interface DataDisk {
  readonly name: string;
  readonly path: string;
  readonly limits?: DiskLimits;
}

/** What a domain does, and why if it does not run. */
export interface DomainPower {
  readonly power: PowerState;
  /** Why it is off, if it is: the guest's own shutdown, a crash, or destroyed from outside. */
  readonly offReason?: 'Shutdown' | 'Crashed' | 'Destroyed';
  /** Why it is paused, if it is: asked for, a disk that could not be read or written, or something that passes by itself. */
  readonly pausedReason?: 'User' | 'IOError' | 'Other';
}

export interface Domain extends DomainPower {
  readonly uid: string;
  readonly attempt: number;
  /** It waits for its guest, which runs at another host: its power is Paused, and it is no second life. It ends with whoever began to receive it. */
  readonly receiving?: true;
  /** All of its guest was sent to another host: its power is Paused, and it goes on with `endMove` alone. */
  readonly sent?: true;
  /** It is off, but its process was killed and cannot end: it holds its files, and is not gone. */
  readonly left?: { readonly pid: number };
}

/** Says so. */
export function leftMessage({ pid }: NonNullable<Domain['left']>): string {
  return (
    `its QEMU (process ${pid}) was killed and does not end, because a file system does not answer. Nothing is done before it is gone: ` +
    'condition StorageReady of the host says what becomes of it'
  );
}

export interface DomainEvent extends DomainPower {
  readonly uid: string;
  /** The guest restarted itself; power stayed On. */
  readonly rebooted?: boolean;
}

export interface Hypervisor extends AsyncDisposable {
  facts(): Promise<HostFacts>;
  /** Domains with our metadata and this installation, and the sum of all others. */
  list(): Promise<{
    readonly ours: readonly Domain[];
    readonly foreign: { readonly count: number; readonly cores: number; readonly memoryMiB: number };
  }>;
  get(uid: string): Promise<Domain | undefined>;
  /**
   * Makes it known, powered off; the same spec again changes nothing. Throws a TerminalError for a data disk whose header names another file:
   * its guest may have written it.
   */
  define(spec: DomainSpec): Promise<void>;
  start(uid: string): Promise<void>;
  /** Gives the interfaces of a guest that is not off their carrier, as if the cable were plugged in. */
  plug(uid: string): Promise<void>;
  /** Presses the power button; returns at once. */
  shutdown(uid: string): Promise<void>;
  reboot(uid: string): Promise<void>;
  reset(uid: string): Promise<void>;
  suspend(uid: string): Promise<void>;
  resume(uid: string): Promise<void>;
  /** Cuts the power; nothing if it is off or not there. */
  destroy(uid: string): Promise<void>;
  /** Forgets it; nothing if it is not there. Off first. */
  undefine(uid: string): Promise<void>;
  /** Removes what earlier lives of machines of ours left on the host where nothing looks at it any more; tells what. Not where nothing can be left. */
  tidy?(): Promise<readonly string[]>;
  /** What is on the screen now, as PNG. MachineError if the machine has none. */
  screenshot(uid: string): Promise<Buffer>;
  /** A connection to the screen that speaks RFB. Any number may be open. MachineError if the machine has none. */
  openScreen(uid: string): Promise<Duplex>;
  /**
   * What the agent in the guest answers to a command of its protocol; nothing that it says is to be trusted. MachineError if there is none,
   * if it does not answer in time, and if it refuses.
   */
  agent(uid: string, command: AgentCommand, deadlineMs: number): Promise<unknown>;
  /**
   * Begins to write the root disk of a machine that is not off into `file`, as a qcow2 disk that stands on nothing: all that it held when this
   * returns, and nothing after. The guest goes on meanwhile. One at a time; `file` must not be there.
   */
  copyDisk(uid: string, file: string): Promise<void>;
  /** How that copy stands; Failed if it was stopped, or there is none. A copy ends with its machine. */
  copyState(uid: string): Promise<'Copying' | 'Copied' | 'Failed'>;
  /** Ends it; nothing if there is none. */
  stopCopy(uid: string): Promise<void>;
  readonly moves: Moves;
  /** Calls back on every change until disposed. Events are hints: list() is the truth. `lost` means: look again at everything. */
  watch(onEvent: (event: DomainEvent | 'lost') => void): Disposable;
}

/**
 * Live migration, in the order of its steps. What a step returns the next one takes at the other host: text that only the hypervisor reads, bounded by
 * 4 MiB. Until `take` has returned the guest is the source's; from the moment on at which `take` is called the destination decides whose it is, and the
 * source learns of it from whoever called.
 */
export interface Moves {
  /** Destination: how the domain is to be here. Its disks and interfaces are there. */
  describe(spec: DomainSpec): Promise<string>;
  /** Source: a guest that runs or is paused is to leave. MachineError if it cannot be moved as it is made. */
  begin(uid: string, described: string): Promise<string>;
  /**
   * Destination: defines nothing yet, and waits for the guest at `sockets` (unix sockets, made here). Ends what it began if this fails, and by itself
   * when this process ends.
   */
  receive(spec: DomainSpec, begun: string, sockets: MoveSockets): Promise<string>;
  /**
   * Source: sends disks and memory to `sockets`, which lead to those of the destination. When it returns the guest stands here and all of it is there.
   * If it rejects, or the signal aborts, the guest goes on here; if neither is certain, `get` tells (`sent`).
   */
  send(uid: string, received: string, sockets: MoveSockets, options: SendOptions): Promise<string>;
  /** Destination: the guest goes on here, and is a domain like any other. If this rejects it never did, and there is no domain any more. */
  take(uid: string, sent: string): Promise<void>;
  /** Destination: ends what is `receiving`; nothing if there is no such, and never touches a guest that was taken. */
  refuse(uid: string): Promise<void>;
  /** Source: ends it. Taken: the domain and its definition are gone here. Not taken: the guest goes on here, if it was on. Repeatable. */
  end(uid: string, taken: boolean): Promise<void>;
}

/** In a directory of their own, new for each migration: the hypervisor's own user may do there what it likes. At most 107 bytes each. */
export interface MoveSockets {
  readonly memory: string;
  readonly disks: string;
}

export interface SendOptions {
  readonly signal: AbortSignal;
  /** Called now and then. Bytes of memory and disks. */
  readonly progress: (transferred: number, total: number) => void;
}

/** The host's side of disks and networks that a machine needs. Real and imitated as the hypervisor is. */
/** Dispose to end it, however the guest holds on to it. */
export interface GuestConnection extends Disposable {
  readonly stream: Duplex;
  /** Ends it, and says why it was not there: MachineError if for the guest. Undefined if it was. */
  problem(): Promise<Error | undefined>;
}

export interface HostDevices {
  /** Overlay on the image (explicit backing format), data disks and seed disk, under the machine's own directory. Repeatable. */
  makeDisks(machine: MachineDisks): Promise<MadeDisks>;
  /**
   * To be called before each start of the machine, which is off. Throws if its disk is not as its host made it, because it stands on something
   * else than the image or keeps its data in another file.
   */
  requireOwnDisk(uid: string, base: DiskBase): Promise<void>;
  /** The seed alone, before the other disks. Repeatable: the last one counts. */
  makeSeed(uid: string, seed: Seed): Promise<void>;
  removeDisks(uid: string): Promise<void>;
  /**
   * All files that the disks of this machine, or of all, stand on, read from the disks themselves; also those that are not there. Throws if
   * one disk does not tell.
   */
  backings(uid?: string): Promise<readonly string[]>;
  /** Bridge and DHCP of the subnet if they are not there, this machine's entry in both. Repeatable. */
  attachNetworks(machine: MachineNics): Promise<DomainSpec['nics']>;
  /**
   * Asks for the addresses that are to be asked for (`probe`), when their subnet is `connected`. Throws AddressConflictError if somebody else
   * has one. The machine is attached.
   */
  requireFree(machine: MachineNics, connected?: (vni: number) => Promise<void>): Promise<void>;
  /** Takes the machine's entries away, and what the last machine of a subnet leaves behind. */
  detachNetworks(uid: string): Promise<void>;
  /**
   * Whether the guest takes connections at the port of its address there; the network is one that is `tried`. MachineError if it refuses,
   * or is silent until `signal`; any other error is the host's.
   */
  knock(network: MachineNetwork, port: number, signal: AbortSignal): Promise<void>;
  /** A connection to it. Throws if the host cannot make any. */
  dial(network: MachineNetwork, port: number, signal: AbortSignal): GuestConnection;
  /** Throws if what the host does for the machine, which runs, is not whole: its disk answers, its interfaces are in their bridges. */
  requireWhole(machine: MachineNics): Promise<void>;
  /**
   * IPv4 tunnel addresses of all other hosts that carry the subnet. Nothing if no machine of it is here. Repeatable; holds until the last
   * machine leaves.
   */
  setPeers(vni: number, peers: readonly string[]): Promise<void>;
  readonly volumes: HostVolumes;
  readonly copies: DiskCopies;
  /** uids that own a disk, seed, tap, DHCP entry or mount here. */
  owners(): Promise<readonly string[]>;
}

/** Copies of root disks, for snapshots. Each method is safe to repeat; what was begun and not finished goes with `clear`. */
export interface DiskCopies {
  /** Where a machine's disk is copied to, under its own directory. */
  fileFor(uid: string): string;
  /** Throws if the host has no room for a copy of the disk, which stands on the image. */
  requireRoom(uid: string, image: MachineDisks['image']): Promise<void>;
  /** Copies the disk of a machine that is off and stays so meanwhile, as it is: it stands on what the disk stands on. */
  copy(uid: string, signal: AbortSignal): Promise<void>;
  /**
   * Makes of the copy a disk in canonical form that stands on nothing, into `file`, which exists and is empty. A copy that stands on anything
   * but `image` is refused unread. Gives its virtual size.
   */
  flatten(copy: DiskCopy, file: string, limits: { deadlineMs: number; signal: AbortSignal }): Promise<number>;
  /** Copies a disk out of the image store, to take the place of the machine's; at least `bytes` large as the guest sees it. */
  prepare(uid: string, source: string, bytes: number, signal: AbortSignal): Promise<void>;
  /** Puts what was prepared into its place. The machine is off. */
  replace(uid: string): Promise<void>;
  /** Removes what is neither the machine's disk nor its seed. */
  clear(uid: string): Promise<void>;
}

export interface DiskCopy {
  readonly uid: string;
  /** uid of the VMSnapshot: it is written into the disk's header, so that no two snapshots are the same file. */
  readonly snapshot: string;
  readonly image: MachineDisks['image'];
  /** As the hypervisor wrote it: it stands on nothing. */
  readonly whole: boolean;
}

/** Directories and disks that all hosts of a cluster reach. */
export interface HostVolumes {
  /** Gluster volumes that this host may use. */
  readonly names: readonly string[];
  /**
   * Makes the Volume's directory with its quota, or its disk, or makes it larger. Repeatable. The bytes that it has then: fewer than are wanted of a
   * disk that a machine had or has, which grows when that is started next.
   */
  make(volume: VolumeOnHost, installation: string): Promise<number>;
  /**
   * Makes the Volume, a disk, with what another disk has, and tells now and then how many percent are copied. Takes long; repeatable, also while
   * another host is at it. Throws the signal's reason.
   */
  fill(volume: VolumeOnHost, installation: string, source: FillSource, watch: FillWatch): Promise<number>;
  /** Removes all that is in it, for good. Nothing if it is not there. The caller knows that nobody uses it. */
  remove(volume: VolumeOnHost): Promise<void>;
  /** What is on a Gluster volume, bears the mark of the installation, and has none of these digits at its beginning (knownDigits). */
  strays(glusterVolume: string, installation: string, known: readonly string[]): Promise<FoundStrays>;
  /** As remove, but only what bears the mark of the installation. Throws if it bears another, or none. Repeatable. */
  discard(volume: VolumeOnHost, installation: string): Promise<void>;
  /** To be called before each start of the machine; repeatable. Throws if the machine must not start on them now. */
  attach(machine: MachineVolumes): Promise<readonly DomainVolume[]>;
  /** Lets go of all that the machine has, which must be off for good. Repeatable. */
  detach(uid: string): Promise<void>;
  /** uids that have something of this here. */
  owners(): Promise<readonly string[]>;
  /** Looks at every mount, and repairs what is stale and used by nobody. Takes as long as a mount may take to answer. */
  look(): Promise<readonly MountReport[]>;
}

export type FoundStrays = Pick<StraysReport, 'count' | 'strays' | 'unmarked'>;

/** An image's file, or a Volume's disk. */
export type FillSource =
  | { readonly path: string; readonly format: 'qcow2' | 'raw' }
  | Extract<VolumeSource, { readonly uid: string }>;

export interface FillWatch {
  told(percent: number): void;
  readonly signal: AbortSignal;
}

export interface MachineVolumes {
  readonly uid: string;
  readonly installation: string;
  readonly attempt: number;
  readonly volumes: readonly MachineVolume[];
}

export interface MachineDisks {
  readonly uid: string;
  readonly image: { readonly path: string; readonly format: 'qcow2' | 'raw' };
  readonly rootDiskBytes: number;
  readonly disks?: readonly MachineDisk[];
  /** Without it the seed that `makeSeed` made is used. */
  readonly seed?: Seed;
}

export type MadeDisks = Required<Pick<DomainSpec, 'rootDisk' | 'dataDisks' | 'seedDisk'>>;

export interface MachineNics {
  readonly uid: string;
  readonly networks: readonly MachineNetwork[];
  readonly hostname: string;
}
