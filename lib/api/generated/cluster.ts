// Generated from crds/clusters.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** One Mesos cluster. */
export interface Cluster extends KubeObject {
  readonly spec: ClusterSpec;
  readonly status?: ClusterStatus;
}

export interface ClusterSpec {
  /** URLs of the Mesos masters, where they are not found through ZooKeeper. */
  readonly masters?: readonly string[];
  /** Where ZooKeeper names the leading master, zk://HOST:PORT,HOST:PORT/PATH. */
  readonly zookeeper?: string;
  /** Mesos role. Default: "computefactory". */
  readonly role: string;
  /** How long Mesos keeps the tasks of an absent framework. Default: "168h". */
  readonly failoverTimeout: string;
  /** Where it stands. */
  readonly datacenter?: string;
  /** No new machines. Default: false. */
  readonly unschedulable: boolean;
  /** Machines that may start at once on one host; more wait until one of them is up. Default: 8. */
  readonly launchesPerHost: number;
  /** How long before a planned maintenance of a host its machines are moved away; 30m if it is not said. */
  readonly reclaimNotice?: string;
  /** How Mesos starts our executor on a host. */
  readonly executor: {
    /** Path of factory-executor on the hosts. Default: "/usr/lib/computefactory/bin/factory-executor". */
    readonly command: string;
    /** CPUs for the executor itself. Default: "0.5". */
    readonly cores: string;
    /** Memory for the executor itself. Default: "512Mi". */
    readonly memory: string;
  };
}

export interface ClusterStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Ours; stored before first use. */
  readonly frameworkID?: string;
  /** Leading master. */
  readonly master?: string;
  /** Its version. */
  readonly version?: string;
  /** Hosts. */
  readonly hosts?: {
    /** Total hosts. */
    readonly total?: number;
    /** Ready hosts. */
    readonly ready?: number;
    /** Unreachable hosts. */
    readonly unreachable?: number;
    /** Unschedulable hosts. */
    readonly unschedulable?: number;
    /** Hosts that are being emptied, or are empty for it. */
    readonly draining?: number;
  };
  /** What guests could use in all. */
  readonly capacity?: {
    /** Cores. */
    readonly cores?: number;
    /** Memory. */
    readonly memoryMiB?: number;
  };
  /** What they use. */
  readonly used?: {
    /** Cores. */
    readonly cores?: number;
    /** Memory. */
    readonly memoryMiB?: number;
  };
  /** Room for guests on ready hosts, hosts alike in one row, largest first. */
  readonly free?: readonly {
    /** Whole cores free. */
    readonly cores?: number;
    /** Guest memory free. */
    readonly memoryMiB?: number;
    /** Hosts. */
    readonly hosts?: number;
    /** Labels of these hosts that selectors may ask for. */
    readonly labels?: Readonly<Record<string, string>>;
    /** Taints of these hosts. */
    readonly taints?: readonly {
      /** What it is about. */
      readonly key: string;
      /** More about it. */
      readonly value?: string;
      /** Whether such machines stay away, or come last. */
      readonly effect: 'NoSchedule' | 'PreferNoSchedule';
    }[];
  }[];
  /** Offers. */
  readonly offers?: {
    /** Held now. */
    readonly held?: number;
  };
  /** Tasks of ours without an object. */
  readonly orphanTasks?: number;
  /** What is on Gluster volumes of the Cluster and belongs to no Volume. Looked for every 10 minutes; factoryctl gc removes it. */
  readonly orphanVolumes?: {
    /** How many there are. */
    readonly count: number;
    /** Directories that bear no mark of any installation beside these. They are not removed. */
    readonly unmarked?: number;
    /** The first of them to have been made. */
    readonly items?: readonly {
      /** uid of the Volume that it was; the name of its directory. */
      readonly uid: string;
      /** Gluster volume that it is on. */
      readonly glusterVolume: string;
      /** What it was. */
      readonly type?: 'SharedFilesystem' | 'Disk';
      /** Bytes that it takes. */
      readonly used?: string;
      /** When it was made. */
      readonly made?: string;
      /** Why it is here. InUse: a host or a machine has it all the same, and it is not removed. */
      readonly reason: 'NoVolume' | 'InUse' | 'Removing';
      /** Details. */
      readonly message?: string;
    }[];
  };
  /** One word for people. */
  readonly displayStatus?: string;
}

export const Cluster: Kind<Cluster> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'Cluster',
  plural: 'clusters',
  singular: 'cluster',
  shortNames: [
    'mc'
  ],
  namespaced: false
};
