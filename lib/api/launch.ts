/**
 * What a host is told when it is to run something: the content of TaskInfo.data, JSON in UTF-8. It is complete and resolved: the
 * executor needs nothing else and asks nobody. Bytes and MiB as named; times in the unit of the name.
 */
export interface MachineNetwork {
  readonly subnet: string;
  readonly subnetUID: string;
  readonly vni: number;
  /** Empty if `external`. */
  readonly ip: string;
  readonly prefix: number;
  /** Empty if the subnet has none. */
  readonly gateway: string;
  readonly mac: string;
  readonly mtu: number;
  readonly dns: readonly string[];
  readonly domain: string;
  readonly leaseSeconds: number;
  /** The network of the site that it is a part of. Without it: an overlay. */
  readonly segment?: NetworkSegment;
  /**
   * The site's DHCP gives the guest its address, which nobody here knows before: the host serves no DHCP and asks for no address, and the guest
   * may have any with its MAC. There is a segment then, and no gateway, dns, domain, egress or probe.
   */
  readonly external?: true;
  /** The host is the gateway, and hides the guest behind its own address. */
  readonly egress?: 'NAT';
  /** No machine has run with the address since it was leased: the host asks on the wire first whether somebody else has it. */
  readonly probe?: boolean;
  /** Its host tries the guest at this address (`tcp` and `http` of a probe), which takes a way of its own into the subnet. */
  readonly tried?: true;
}

/** A bridge that the host has, or a VLAN on one of its interfaces. */
export type NetworkSegment = { readonly bridge: string } | { readonly nic: string; readonly vlan: number };

/** An address of a machine at which somebody answers who is not this machine. */
export interface AddressConflict {
  readonly subnet: string;
  readonly ip: string;
  /** Of who answers. */
  readonly mac: string;
}

/** Who reads the seed: cloud-init as NoCloud or as a config drive, cloudbase-init, or Windows Setup. */
export type SeedFormat = 'CloudInit' | 'ConfigDrive' | 'CloudbaseInit' | 'Sysprep';

/** What of a seed stands in Secrets. It is never part of a launch, which Mesos keeps and shows. */
export interface SeedSecrets {
  readonly userData?: string;
  readonly networkData?: string;
  /** Beside those of the launch. */
  readonly sshKeys?: readonly string[];
  readonly adminPassword?: string;
}

/** A directory or a disk on a Gluster volume, as hosts are told of it. */
export interface VolumeOnHost {
  /** Of the Volume. */
  readonly uid: string;
  readonly type: 'SharedFilesystem' | 'Disk';
  readonly glusterVolume: string;
  /** The directory's quota, or the size of the disk. */
  readonly bytes: number;
  /** A disk where Gluster keeps fewer than three copies, or has no quorum, is wanted all the same. */
  readonly allowUnsafe?: true;
}

/** What a disk has on it when it is made: a file of the image store, or another disk, which nobody writes to meanwhile. */
export type VolumeSource =
  | { readonly digest: string; readonly format: 'qcow2' | 'raw' }
  | {
      /** Of the Volume. */
      readonly uid: string;
      readonly glusterVolume: string;
      /** As of a machine. Without it nobody writes to it any more. */
      readonly grant?: number;
    };

export interface MachineVolume extends VolumeOnHost {
  /** What the guest finds it by: the tag of a directory, the serial number of a disk. */
  readonly name: string;
  /** Where the guest is told to mount a directory. */
  readonly mountPath?: string;
  /** It is not known to be there yet: whoever comes first makes it. Else it must be there. */
  readonly make?: true;
  /** Of a disk: a number that grows with every machine that gets it. Without it, a disk that many read and nobody writes to any more. */
  readonly grant?: number;
  /** The guest must not be able to write to it. */
  readonly readOnly?: true;
}

/** What a guest may ask of a disk in a second, by reads and writes together. */
export interface DiskLimits {
  readonly bytesPerSecond?: number;
  readonly requestsPerSecond?: number;
}

/** A data disk: empty when it is made, and removed with the machine. */
export interface MachineDisk {
  /** Its serial number. */
  readonly name: string;
  /** Virtual size. */
  readonly bytes: number;
  readonly limits?: DiskLimits;
}

export interface MachineLaunch {
  /**
   * 2, 3 (volumes), 4 (networks of the site, probes other than of readiness by the agent), 5 (data disks, limits and weight of disks), 6 (networks whose
   * addresses the site gives) or 7 (`incoming`, volumes to read alone) if there is in it what an executor that knows less would leave out without a
   * word: it refuses what it does not know.
   */
  readonly version: 1 | 2 | 3 | 4 | 5 | 6 | 7;
  readonly type: 'machine';
  /** uid of the namespace cf-system: what carries another one is not ours. */
  readonly installation: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly attempt: number;
  readonly taskId: string;
  /** Take over the domain that already runs under this uid, without a reboot. Fails if there is none. */
  readonly adopt: boolean;
  /** It comes as it runs from another host, and is taken over here when that has sent all of it; nothing is started before. */
  readonly incoming?: IncomingMachine;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly image: { readonly digest: string; readonly format: 'qcow2' | 'raw'; readonly virtualSize: number };
  /** Virtual size of the root overlay; at least the image's. */
  readonly rootDiskBytes: number;
  readonly rootDiskLimits?: DiskLimits;
  readonly disks?: readonly MachineDisk[];
  /** Of its requests to the host's disks against those of others: 100 to 1000. */
  readonly ioWeight?: number;
  readonly networks: readonly MachineNetwork[];
  readonly volumes?: readonly MachineVolume[];
  readonly hostname: string;
  /** CloudInit if left out. */
  readonly seedFormat?: SeedFormat;
  readonly userData?: string;
  /** In the reader's own form; the machine's networks by DHCP if left out. */
  readonly networkData?: string;
  readonly sshKeys: readonly string[];
  /** The seed has parts that stand in Secrets, and waits for them: they come sealed, after the launch. */
  readonly secretSeed?: true;
  readonly osType: 'Linux' | 'Windows' | 'Other';
  /** Off: make everything, do not start. */
  readonly power: 'On' | 'Off';
  /** What to do in place when the guest turns itself off, and when it crashes. */
  readonly onGuestShutdown: 'Restart' | 'Stop' | 'Finish';
  readonly onGuestCrash: 'Restart' | 'Stop' | 'Fail';
  readonly terminationGraceMs: number;
  /** Its host switches it off when it has not been acknowledged for so long. Executors before 0.6 leave it out, and do not say that they do it. */
  readonly selfFenceMs?: number;
  /** Running counts as ready if left out. Executors before 0.5 leave it out, and tell nothing of it. */
  readonly readiness?: LaunchProbe;
  /** A guest that fails one of these is restarted in place, as one that has crashed. */
  readonly liveness?: LaunchProbe;
  readonly startup?: LaunchProbe;
}

/** How a guest is tried again and again: by the agent's answer, if nothing else is said. */
export interface LaunchProbe {
  /** What the agent of the guest is to run. */
  readonly command?: readonly string[];
  /** At the guest's first address. */
  readonly tcp?: { readonly port: number };
  readonly http?: HttpProbe;
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

export interface HttpProbe {
  readonly port: number;
  readonly path: string;
  readonly scheme: 'HTTP' | 'HTTPS';
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

export interface IncomingMachine {
  /** Id of the migration. */
  readonly migration: string;
  /** Number of the attempt that runs at the other host. */
  readonly from: number;
  /** What is not taken over within so long is given up. */
  readonly timeoutMs: number;
}

export interface ImageImport {
  readonly version: 1;
  readonly type: 'image';
  readonly installation: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly attempt: number;
  readonly taskId: string;
  readonly source: {
    readonly http?: { readonly url: string };
    readonly file?: { readonly path: string };
    /** The bytes are in the store already. Executors before 0.7 know no such source. */
    readonly upload?: object;
  };
  readonly checksum?: string;
  /** Of the disk, which may be packed by gz, xz or zst. */
  readonly format?: 'qcow2' | 'raw' | 'vmdk' | 'vhd' | 'vhdx';
  readonly maxVirtualSize: number;
  readonly timeoutMs: number;
  /** What the first import of this Image gave, if there was one: other bytes are not taken. Executors before 0.6 take them. */
  readonly digest?: string;
}

/**
 * Does nothing and ends at once: where no executor is, Mesos starts one for it, and that says what is there. Executors before 0.6 refuse it,
 * and say so as well. Its task id is one of an image that there is not.
 */
export interface LookLaunch
  extends Pick<ImageImport, 'version' | 'installation' | 'uid' | 'namespace' | 'name' | 'taskId'> {
  readonly type: 'look';
}

export type Launch = MachineLaunch | ImageImport | LookLaunch;

/** What an import task puts, as JSON, into TaskStatus.data with TASK_FINISHED. */
export interface ImportResult {
  /** sha256 of the file in the store, 64 hex digits. */
  readonly digest: string;
  /** raw from executors before 0.4 and where machines are only imitated. */
  readonly format: 'qcow2' | 'raw';
  readonly size: number;
  readonly virtualSize: number;
  /** Of what was fetched over http(s): the server's strong ETag, and the URL after redirects without its query. */
  readonly etag?: string;
  readonly resolvedURL?: string;
}

/** What an import task puts, as JSON, into TaskStatus.data while it works. Executors before 0.6 name no phase. */
export interface ImportStep {
  readonly phase?: 'Downloading' | 'Verifying' | 'Converting';
  /** Of the download. */
  readonly percent?: number;
}

/** What any task puts, as JSON, into TaskStatus.data with a state that says it did not go well or ended. */
export interface Termination {
  readonly class: 'User' | 'Guest' | 'Infrastructure' | 'Preempted' | 'Configuration';
  /** One CamelCase word. */
  readonly reason: string;
  readonly message: string;
  /** Trying the same again cannot help. */
  readonly terminal: boolean;
  /** The executor looked after the fact and the hypervisor has no such domain. Only this makes a terminal update a proof. */
  readonly domainAbsent: boolean;
  /** With the reason AddressConflict: the machine was not started. */
  readonly conflict?: AddressConflict;
}
