// Generated from crds/hosts.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** One host of one cluster. Made by the cluster server. */
export interface Host extends KubeObject {
  readonly spec: HostSpec;
  readonly status?: HostStatus;
}

export interface HostSpec {
  /** Cluster. */
  readonly cluster: string;
  /** Host name as Mesos knows it. */
  readonly hostname: string;
  /** No new machines. Default: false. */
  readonly unschedulable: boolean;
  /** Labels for hostSelector, added to the Mesos attributes. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Keep machines away that do not tolerate them; those that are there stay. */
  readonly taints?: readonly {
    /** What it is about. */
    readonly key: string;
    /** More about it. */
    readonly value?: string;
    /** Whether such machines stay away, or come last. */
    readonly effect: 'NoSchedule' | 'PreferNoSchedule';
  }[];
  /** While this is here the host is emptied: machines are stopped with their grace and run elsewhere as their runPolicy says. */
  readonly drain?: {
    /** When it has to be empty. Budgets and protection hold machines back until then, and without it for as long as they like. */
    readonly deadline?: string;
    /** Why, for people. */
    readonly reason?: string;
    /** Once drained, Mesos is told that this agent never comes back. Default: false. */
    readonly markGone: boolean;
  };
  /** For people. */
  readonly notes?: string;
}

export interface HostStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Mesos agent; changes. */
  readonly agentID?: string;
  /** Boot that the last inventory spoke of. */
  readonly bootID?: string;
  /** The executor. */
  readonly executor?: {
    /** Mesos executor. */
    readonly id?: string;
    /** Version of its worker. */
    readonly version?: string;
    /** Version of the process above the worker, which Mesos started and knows. It becomes what is installed when a worker ends; where it could not, its log says why. */
    readonly supervisor?: string;
    /** Worker running since. */
    readonly since?: string;
    /** Where consoles are served. */
    readonly consoleURL?: string;
  };
  /** When the executor had been heard of last when this status was written. It is not written for a heartbeat alone. */
  readonly lastHeartbeat?: string;
  /** What the host can do. */
  readonly facts?: {
    /** libvirt or sim. */
    readonly hypervisor?: string;
    /** KVM boots guests. */
    readonly kvm?: boolean;
    /** CPU model. */
    readonly cpuModel?: string;
    /** Version. */
    readonly libvirt?: string;
    /** Version. */
    readonly qemu?: string;
    /** Its kernel weighs what machines ask of its disks (ioWeight). */
    readonly ioWeights?: boolean;
    /** IPv4 address at which other hosts reach it for subnets that both carry. */
    readonly tunnelAddress?: string;
    /** Gluster volumes that its configuration allows the use of. Absent if it has not told. */
    readonly glusterVolumes?: readonly string[];
    /** Networks of the site that its configuration lets guests onto. Absent if it has not told. */
    readonly segments?: {
      /** Bridges. */
      readonly bridges?: readonly string[];
      /** Interfaces, for VLANs. */
      readonly nics?: readonly string[];
    };
  };
  /** Counts. */
  readonly inventory?: {
    /** domains */
    readonly domains?: number;
    /** foreignDomains */
    readonly foreignDomains?: number;
    /** orphanDomains */
    readonly orphanDomains?: number;
    /** images */
    readonly images?: number;
  };
  /** What guests could use. */
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
  /** Machines with a live attempt here. */
  readonly vms?: number;
  /** The next window in which Mesos' operators plan to take it away. */
  readonly maintenance?: {
    /** Start. */
    readonly start?: string;
    /** End; open if it is not said. */
    readonly end?: string;
  };
  /** How far it is emptied, while it is. */
  readonly drain?: {
    /** Who wants it empty. */
    readonly cause?: 'Spec' | 'Maintenance' | 'MesosAgent';
    /** When it has to be empty. */
    readonly deadline?: string;
    /** Machines that are not proven gone. */
    readonly left?: number;
    /** Some of them, those that hold it up first. */
    readonly examples?: readonly {
      /** Namespace and name. */
      readonly machine?: string;
      /** What it waits for. */
      readonly why?: string;
    }[];
    /** The Mesos agent was drained on our word, and is to be reactivated with it. */
    readonly agentDrained?: boolean;
  };
  /** Machines that were let go while the host did not answer, deleted (disconnect.forgetAfter) or switched off by it (selfFenceAfter). What is left of them is removed when it does. */
  readonly pendingCleanup?: readonly {
    /** Of the VirtualMachine. */
    readonly uid: string;
    /** Its namespace. */
    readonly namespace: string;
    /** Its name. */
    readonly name: string;
    /** Its last attempt, which may run there. */
    readonly attempt: number;
    /** Boot of the host that this attempt started under. */
    readonly bootID?: string;
    /** When it was let go. */
    readonly since: string;
    /** Of no other machine until this one is removed. */
    readonly addresses?: readonly {
      /** Name of the Subnet. */
      readonly subnet: string;
      /** Address; absent where the site gives it, and the Subnet waits for this machine all the same. */
      readonly ip?: string;
    }[];
  }[];
  /** Launches that failed here for a fault of the host, since the last one that went well. */
  readonly score?: number;
  /** Mesos attributes and spec.labels together. */
  readonly labels?: Readonly<Record<string, string>>;
  /** One word for people. */
  readonly displayStatus?: string;
}

export const Host: Kind<Host> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'Host',
  plural: 'hosts',
  singular: 'host',
  shortNames: [
    'host'
  ],
  namespaced: false,
  selectableFields: [
    'spec.cluster'
  ]
};
