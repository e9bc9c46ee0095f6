// Generated from crds/virtualmachines.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** One machine: one identity, one life. */
export interface VirtualMachine extends KubeObject {
  readonly spec: VirtualMachineSpec;
  readonly status?: VirtualMachineStatus;
}

export interface VirtualMachineSpec {
  /** What happens when the machine stops: Always runs it again, RerunOnFailure unless it shut itself down, Once never, Manual follows operations, Halted keeps it off. Default: "Always". */
  readonly runPolicy: 'Always' | 'RerunOnFailure' | 'Once' | 'Manual' | 'Halted';
  /** When its host is emptied: None (or absent) stops the machine, and it starts elsewhere as its runPolicy says. LiveMigrateIfPossible moves it as it runs, and stops it only if that cannot be. */
  readonly evictionStrategy?: 'None' | 'LiveMigrateIfPossible';
  /** Name of an InstanceType; this or resources. */
  readonly instanceType?: string;
  /** Guest-visible size; this or instanceType. */
  readonly resources?: {
    /** Virtual CPUs. */
    readonly cores: number;
    /** Guest memory, at least 64Mi. */
    readonly memory: string;
  };
  /** The disk image to boot. */
  readonly image: {
    /** Name of an Image; this or family. */
    readonly name?: string;
    /** Or the newest Image of this family that is ready and not deprecated: chosen once, when the machine is made. */
    readonly family?: string;
    /** Its namespace: empty for the machine's own, or cf-public. */
    readonly namespace?: string;
  };
  /** Disks: root, and data disks, which are empty when the machine is launched. */
  readonly disks?: readonly {
    /** root is the copy-on-write overlay on the image. Every other name is a data disk, and its serial number: the guest finds it as /dev/disk/by-id/virtio-NAME. */
    readonly name: string;
    /** Virtual size; of root never below the image's own. A data disk needs one. */
    readonly size?: string;
    /** Ephemeral, or left out: it keeps its content over restarts in place and is removed with the machine's launch. Persistent is refused: name a Volume of type Disk in volumes. */
    readonly persistence?: 'Ephemeral' | 'Persistent';
    /** Refused; name the Volume in volumes. */
    readonly volume?: string;
    /** What the guest may ask of this disk; more of it waits. Holds from the next launch on. */
    readonly limits?: {
      /** Bytes a second, read and written together; at least 1Mi. */
      readonly throughput?: string;
      /** Requests a second, reads and writes together. */
      readonly iops?: number;
    };
  }[];
  /** Its share of the host's disks where machines wait for them, against that of the others: with 800 it gets twice as much as with 400. Only where the host's kernel weighs. */
  readonly ioWeight?: number;
  /** Network interfaces; the first is the primary one. */
  readonly networks?: readonly {
    /** Name of a Subnet in the same namespace. */
    readonly subnet: string;
    /** A fixed address inside the subnet. Not allowed in a template. */
    readonly ip?: string;
  }[];
  /** Volumes of the same namespace that the guest has. They have to be in the Cluster that the machine is placed in. */
  readonly volumes?: readonly {
    /** What the guest finds it by: the tag of a SharedFilesystem (virtiofs), the serial number of a Disk. */
    readonly name: string;
    /** Name of the Volume. */
    readonly volume: string;
    /** Where the seed tells the guest to mount a SharedFilesystem, for what reads cloud-config: Linux with cloud-init. Else whoever is in the guest mounts it. */
    readonly mountPath?: string;
    /** The guest can only read it, whatever it tries: its host sees to that. Always so of a Volume that is ROX. */
    readonly readOnly?: boolean;
  }[];
  /** User data, put on the seed disk as it is. */
  readonly userData?: string;
  /** User data from a Secret, instead of userData; at most 512 KiB. */
  readonly userDataSecretRef?: {
    /** Name of a Secret in the same namespace. */
    readonly name: string;
    /** Key in it; userData if left out. */
    readonly key?: string;
  };
  /** Network configuration of the guest, in the words of what reads the seed; the machine's networks by DHCP if left out. */
  readonly networkData?: string;
  /** Network configuration from a Secret, instead of networkData. */
  readonly networkDataSecretRef?: {
    /** Name of a Secret in the same namespace. */
    readonly name: string;
    /** Key in it; networkData if left out. */
    readonly key?: string;
  };
  /** What reads the seed disk in the guest: cloud-init from NoCloud or from a config drive, cloudbase-init, or Windows Setup after sysprep. Auto, or left out: cloudbase-init for images of Windows, else cloud-init. Ignition is not made. */
  readonly format?: 'Auto' | 'CloudInit' | 'ConfigDrive' | 'CloudbaseInit' | 'Sysprep' | 'Ignition';
  /** Public keys for the default user, put on the seed disk. */
  readonly sshKeys?: readonly string[];
  /** Secrets with more public keys, one a line. */
  readonly sshKeySecretRefs?: readonly {
    /** Name of a Secret in the same namespace. */
    readonly name: string;
    /** Key in it; authorizedKeys if left out. */
    readonly key?: string;
  }[];
  /** Password of the default user (Linux) or the administrator (Windows), set at the first boot. */
  readonly adminPasswordSecretRef?: {
    /** Name of a Secret in the same namespace. */
    readonly name: string;
    /** Key in it; password if left out. */
    readonly key?: string;
  };
  /** Host name inside the guest; the object's name if empty. */
  readonly hostname?: string;
  /** From the power button to the power cut. Default: "60s". */
  readonly terminationGracePeriod: string;
  /** What its pool does while its host does not answer. A machine without a pool is waited for. */
  readonly disconnect?: {
    /** Silent for so long it counts as lost; 5m if empty. */
    readonly lostAfter?: string;
    /** Another machine with another name and address is made for one that is lost; if empty, for those without a Volume of type Disk. */
    readonly replace?: boolean;
    /** Which of the two stays when the lost one answers again; KeepOldest if empty. */
    readonly onReconnect?: 'KeepOldest' | 'KeepReplacement';
    /** Its host switches it off by itself when it has heard nothing of the cluster server for so long, and it runs elsewhere then; never if empty. At least 1m, and 1m less than lostAfter at most. Holds from its next launch on. */
    readonly selfFenceAfter?: string;
    /** Deleted while its host does not answer, it is let go when that has lasted for so long, and removed from the host when that answers again; 24h if empty. */
    readonly forgetAfter?: string;
  };
  /** Where it may run. */
  readonly placement?: {
    /** Name of the only Cluster it may run on. */
    readonly cluster?: string;
    /** Labels that the host must carry; Mesos attributes are host labels. */
    readonly hostSelector?: {
      /** Exact matches. */
      readonly matchLabels?: Readonly<Record<string, string>>;
      /** Set requirements. */
      readonly matchExpressions?: readonly {
        /** Label key. */
        readonly key: string;
        /** How values are compared. */
        readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
        /** Values for In and NotIn; one number for Gt and Lt. */
        readonly values?: readonly string[];
      }[];
    };
    /** Hosts that come first; of those with as much weight the best fit. */
    readonly preferredHosts?: readonly {
      /** Added up over all wishes that a host fulfils. */
      readonly weight: number;
      /** Exact matches. */
      readonly matchLabels?: Readonly<Record<string, string>>;
      /** Set requirements. */
      readonly matchExpressions?: readonly {
        /** Label key. */
        readonly key: string;
        /** How values are compared. */
        readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
        /** Values for In and NotIn; one number for Gt and Lt. */
        readonly values?: readonly string[];
      }[];
    }[];
    /** Taints of hosts that do not keep it away. */
    readonly tolerations?: readonly {
      /** Key of the taint; every taint if left out, with Exists. */
      readonly key?: string;
      /** Whether the value counts. Equal if left out. */
      readonly operator?: 'Equal' | 'Exists';
      /** Value of the taint, with Equal. */
      readonly value?: string;
      /** Effect of the taint; every effect if left out. */
      readonly effect?: 'NoSchedule' | 'PreferNoSchedule';
    }[];
    /** Marathon's constraints. Those that count, count machines of the same factory, else of the same pool. */
    readonly constraints?: readonly {
      /** Label of the host; host or hostname for the host itself. */
      readonly key: string;
      /** How the host's value is judged. */
      readonly operator: 'UNIQUE' | 'CLUSTER' | 'GROUP_BY' | 'LIKE' | 'UNLIKE' | 'MAX_PER' | 'IS';
      /** Text for IS and CLUSTER, a regular expression of RE2 for LIKE and UNLIKE, a number for MAX_PER and GROUP_BY. */
      readonly value?: string;
    }[];
    /** Machines to stay away from. */
    readonly antiAffinity?: readonly {
      /** Label of the host that must differ: host for another host, rack for another rack. */
      readonly key: string;
      /** Labels of these machines, in the same namespace; machines of the same factory or pool if left out. */
      readonly selector?: {
        /** Exact matches. */
        readonly matchLabels?: Readonly<Record<string, string>>;
        /** Set requirements. */
        readonly matchExpressions?: readonly {
          /** Label key. */
          readonly key: string;
          /** How values are compared. */
          readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
          /** Values for In and NotIn. */
          readonly values?: readonly string[];
        }[];
      };
    }[];
    /** Even numbers of machines of the same factory, else of the same pool. */
    readonly spread?: readonly {
      /** Label of the host over whose values machines are spread; host for hosts. */
      readonly key: string;
      /** Machines that a value may have more than the value with the fewest. Default: 1. */
      readonly maxSkew: number;
      /** Whether a machine waits rather than break the rule. Default: "ScheduleAnyway". */
      readonly whenUnsatisfiable: 'ScheduleAnyway' | 'DoNotSchedule';
    }[];
  };
  /** Higher is placed first. Default: 0. */
  readonly priority: number;
  /** LowerPriority: where no host has room, machines of its namespace with a lower priority are stopped for it. Never if left out. */
  readonly preemption?: 'Never' | 'LowerPriority';
  /** Machines that start together or not at all, those of the same namespace that name it. */
  readonly gang?: {
    /** What all of them have in common. */
    readonly name: string;
    /** Of how many it consists on its Cluster. None is placed before all are there and have room at one time. */
    readonly machines: number;
    /** How long room is kept for a part of it, and how long it may run in part; then it is let go of for as long. Default: "10m". */
    readonly timeout: string;
  };
  /** How its host finds out how the guest is. Each probe is made from the host of the machine. */
  readonly probes?: {
    /** What GuestReady says: whether the guest can do its work. Running counts as ready if left out. */
    readonly readiness?: {
      /** Its agent answers. This, exec, tcp or http. */
      readonly guestAgent?: boolean;
      /** A command that the agent runs ends with 0. */
      readonly exec?: {
        /** Program and arguments. No shell is between. */
        readonly command: readonly string[];
      };
      /** The guest takes a connection at its first address. It comes from the gateway's, which the Subnet has to have. */
      readonly tcp?: {
        /** Port. */
        readonly port: number;
      };
      /** A GET to the guest's first address is answered with a status from 200 to 399. Redirects are not followed. It comes from the gateway's address, which the Subnet has to have. */
      readonly http?: {
        /** Port. */
        readonly port: number;
        /** Path and query. Default: "/". */
        readonly path: string;
        /** HTTPS: whatever certificate the guest has. Default: "HTTP". */
        readonly scheme: 'HTTP' | 'HTTPS';
        /** Headers to send. */
        readonly headers?: readonly {
          /** Name. */
          readonly name: string;
          /** Value. */
          readonly value: string;
        }[];
      };
      /** From the start of the guest to the first try. Default: "0s". */
      readonly initialDelay: string;
      /** From one try to the next. Default: "10s". */
      readonly period: string;
      /** How long a try may take, 50s at most. Default: "5s". */
      readonly timeout: string;
      /** Tries in a row that have to go well. Default: 1. */
      readonly successThreshold: number;
      /** Tries in a row that may fail before it counts as not ready any more. Default: 3. */
      readonly failureThreshold: number;
    };
    /** A guest that fails it is restarted in place, like one that has crashed: asked to shut down, and cut off after terminationGracePeriod. Holds from its first success after each boot on: whether a guest comes up at all is for startup. */
    readonly liveness?: {
      /** Its agent answers. This, exec, tcp or http. */
      readonly guestAgent?: boolean;
      /** A command that the agent runs ends with 0. */
      readonly exec?: {
        /** Program and arguments. No shell is between. */
        readonly command: readonly string[];
      };
      /** The guest takes a connection at its first address. It comes from the gateway's, which the Subnet has to have. */
      readonly tcp?: {
        /** Port. */
        readonly port: number;
      };
      /** A GET to the guest's first address is answered with a status from 200 to 399. Redirects are not followed. It comes from the gateway's address, which the Subnet has to have. */
      readonly http?: {
        /** Port. */
        readonly port: number;
        /** Path and query. Default: "/". */
        readonly path: string;
        /** HTTPS: whatever certificate the guest has. Default: "HTTP". */
        readonly scheme: 'HTTP' | 'HTTPS';
        /** Headers to send. */
        readonly headers?: readonly {
          /** Name. */
          readonly name: string;
          /** Value. */
          readonly value: string;
        }[];
      };
      /** From the start of the guest to the first try. Default: "0s". */
      readonly initialDelay: string;
      /** From one try to the next. Default: "10s". */
      readonly period: string;
      /** How long a try may take, 50s at most. Default: "5s". */
      readonly timeout: string;
      /** Tries in a row that may fail before the guest is restarted. Default: 3. */
      readonly failureThreshold: number;
    };
    /** Until it succeeds once after the start of the guest the others wait. A guest that does not get so far is restarted as one that fails liveness is. */
    readonly startup?: {
      /** Its agent answers. This, exec, tcp or http. */
      readonly guestAgent?: boolean;
      /** A command that the agent runs ends with 0. */
      readonly exec?: {
        /** Program and arguments. No shell is between. */
        readonly command: readonly string[];
      };
      /** The guest takes a connection at its first address. It comes from the gateway's, which the Subnet has to have. */
      readonly tcp?: {
        /** Port. */
        readonly port: number;
      };
      /** A GET to the guest's first address is answered with a status from 200 to 399. Redirects are not followed. It comes from the gateway's address, which the Subnet has to have. */
      readonly http?: {
        /** Port. */
        readonly port: number;
        /** Path and query. Default: "/". */
        readonly path: string;
        /** HTTPS: whatever certificate the guest has. Default: "HTTP". */
        readonly scheme: 'HTTP' | 'HTTPS';
        /** Headers to send. */
        readonly headers?: readonly {
          /** Name. */
          readonly name: string;
          /** Value. */
          readonly value: string;
        }[];
      };
      /** From the start of the guest to the first try. Default: "0s". */
      readonly initialDelay: string;
      /** From one try to the next. Default: "10s". */
      readonly period: string;
      /** How long a try may take, 50s at most. Default: "5s". */
      readonly timeout: string;
      /** Tries in a row that may fail before the guest is restarted. Default: 60. */
      readonly failureThreshold: number;
    };
  };
  /** Refuse deletion of this machine by name. Default: false. */
  readonly deleteProtection: boolean;
}

export interface VirtualMachineStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Where in its life it is; for people. */
  readonly phase?: 'Pending' | 'Scheduling' | 'Launching' | 'Provisioning' | 'Starting' | 'Running' | 'Paused' | 'Stopping' | 'Stopped' | 'Succeeded' | 'Failed' | 'Unreachable' | 'Terminating';
  /** Why it is paused, if nobody asked for it. */
  readonly pausedReason?: 'IOError';
  /** One word for people. */
  readonly displayStatus?: string;
  /** The live attempt: one Mesos task. Gone only when proven gone. */
  readonly attempt?: {
    /** Counts launches of this object, from 1. */
    readonly number?: number;
    /** Cluster. */
    readonly cluster?: string;
    /** Host. */
    readonly host?: string;
    /** Mesos agent. */
    readonly agentID?: string;
    /** Mesos task, vm-<uid>-<number>. */
    readonly taskID?: string;
    /** When the intent was stored. */
    readonly since?: string;
    /** Took over a running domain. */
    readonly adopted?: boolean;
    /** How often it was to be sent to Mesos, if more than once; stored before it is. */
    readonly sends?: number;
    /** ACCEPT was sent at least once. */
    readonly launched?: boolean;
    /** Boot of the host that it started under. */
    readonly bootID?: string;
    /** Its host switches it off by itself when it has lost the cluster server (selfFenceAfter). */
    readonly fence?: {
      /** For so long; as it was launched with. */
      readonly after: string;
      /** The host has said that it will, whatever happens to the executor. Only then it is taken as proof. */
      readonly armed: boolean;
    };
    /** It was launched together with others. */
    readonly gang?: {
      /** The same for all of them. */
      readonly launch: string;
      /** How many they are, itself included. */
      readonly machines: number;
    };
    /** It is to leave its host. */
    readonly drain?: {
      /** Why. */
      readonly reason: 'HostDrain' | 'PartnerReclaim' | 'Preemption' | 'GangInPart';
      /** Whether it is held back still, moved to another host as it runs, or being stopped. */
      readonly state: 'Waiting' | 'Migrating' | 'Evicting';
      /** When it has to be gone. */
      readonly deadline?: string;
    };
  };
  /** It is being moved to another host as it runs; stored before anything is asked of Mesos. status.attempt is where it runs. */
  readonly migration?: {
    /** As both hosts call it. */
    readonly id: string;
    /** Number of the attempt there. */
    readonly number: number;
    /** Cluster. */
    readonly cluster: string;
    /** Where it goes. */
    readonly host: string;
    /** Mesos agent. */
    readonly agentID: string;
    /** Mesos task, vm-<uid>-<number>. */
    readonly taskID: string;
    /** When the intent was stored. */
    readonly since: string;
    /** Boot of the host there. */
    readonly bootID?: string;
    /** Given up after this, if the guest is not there by then. */
    readonly deadline: string;
    /** Who asked for it. */
    readonly reason: 'Operation' | 'Drain';
    /** uid of the VMOperation, if one did. */
    readonly operation?: string;
    /** The host there has taken the task. */
    readonly began?: boolean;
    /** Why it is given up; both hosts are told so until it is certain who has the guest. */
    readonly ending?: string;
  };
  /** How the last one ended. */
  readonly lastMigration?: {
    /** As both hosts called it. */
    readonly id: string;
    /** Number of the attempt there; it does not come again. */
    readonly number: number;
    /** Number of the attempt that was to move. */
    readonly from: number;
    /** Whether it runs there now. */
    readonly outcome: 'Completed' | 'Failed';
    /** Where it ran. */
    readonly fromHost?: string;
    /** Where it was to go. */
    readonly host: string;
    /** Why it failed. */
    readonly message?: string;
    /** uid of the VMOperation that asked for it, if one did. */
    readonly operation?: string;
    /** How often in a row this attempt could not be moved. */
    readonly failures?: number;
    /** When. */
    readonly ended: string;
  };
  /** Room is being made for it by machines of lower priority. */
  readonly nominated?: {
    /** Where. */
    readonly host: string;
    /** How long it is kept. */
    readonly until: string;
  };
  /** The last 5 closed attempts. */
  readonly attempts?: readonly {
    /** Attempt. */
    readonly number?: number;
    /** How it ended. */
    readonly outcome?: string;
    /** Who is to blame. */
    readonly class?: 'User' | 'Guest' | 'Infrastructure' | 'Preempted' | 'Configuration';
    /** Reason word. */
    readonly reason?: string;
    /** Host. */
    readonly host?: string;
    /** Of the host; told if it was let go without proof. */
    readonly cluster?: string;
    /** What proved that it is gone; Forgotten if nothing did. */
    readonly proof?: string;
    /** The address at which somebody else answered; the machine was not started. */
    readonly conflict?: {
      /** Name of the Subnet. */
      readonly subnet: string;
      /** The address. */
      readonly ip: string;
      /** MAC address of who answered. */
      readonly mac: string;
    };
    /** When it was proven gone. */
    readonly ended?: string;
  }[];
  /** How the last attempt or run ended. */
  readonly lastTermination?: {
    /** Who is to blame. */
    readonly class?: 'User' | 'Guest' | 'Infrastructure' | 'Preempted' | 'Configuration';
    /** Reason word. */
    readonly reason?: string;
    /** Details. */
    readonly message?: string;
    /** When. */
    readonly time?: string;
  };
  /** Resolved size. */
  readonly instanceType?: {
    /** InstanceType, if one was named. */
    readonly name?: string;
    /** Virtual CPUs. */
    readonly cores?: number;
    /** Guest memory. */
    readonly memory?: string;
  };
  /** Resolved image. */
  readonly image?: {
    /** Image. */
    readonly name?: string;
    /** The family that it was chosen from, if it was. */
    readonly family?: string;
    /** Its namespace. */
    readonly namespace?: string;
    /** sha256 of the canonical file. */
    readonly digest?: string;
    /** Disk format. */
    readonly format?: string;
    /** Bytes as the guest sees it. */
    readonly virtualSize?: number;
  };
  /** Resolved interfaces. */
  readonly networks?: readonly {
    /** Subnet. */
    readonly subnet?: string;
    /** Its uid. */
    readonly subnetUID?: string;
    /** VXLAN id. */
    readonly vni?: number;
    /** Address. */
    readonly ip?: string;
    /** Prefix length. */
    readonly prefix?: number;
    /** Gateway, or empty. */
    readonly gateway?: string;
    /** MAC address. */
    readonly mac?: string;
    /** MTU. */
    readonly mtu?: number;
    /** Name servers. */
    readonly dns?: readonly string[];
    /** Search domain. */
    readonly domain?: string;
    /** DHCP lease time. */
    readonly leaseSeconds?: number;
    /** Of the Subnet, if it has one. */
    readonly segment?: {
      /** Name of a bridge that the hosts have. */
      readonly bridge?: string;
      /** Name of an interface of the hosts, on which the VLAN is. */
      readonly parentNIC?: string;
      /** Number of the VLAN. */
      readonly vlan?: number;
      /** Where it has other names. */
      readonly clusters?: readonly {
        /** Name of the Cluster. */
        readonly cluster: string;
        /** Name of a bridge that the hosts have. */
        readonly bridge?: string;
        /** Name of an interface of the hosts, on which the VLAN is. */
        readonly parentNIC?: string;
        /** Number of the VLAN. */
        readonly vlan?: number;
      }[];
    };
    /** The site's DHCP gives the address: ip is what the guest agent says, and absent while it says none. */
    readonly ipam?: 'External';
    /** Of the Subnet, where the address is the site's to give. Other addresses of the guest are not shown as ip. */
    readonly cidr?: string;
    /** The host is the gateway to the Internet. */
    readonly egress?: 'NAT';
    /** IPLease. */
    readonly lease?: string;
    /** The machine has run with this address, so no host asks any more whether somebody else has it. */
    readonly used?: boolean;
    /** What the guest agent says it has on this interface. */
    readonly guestIPs?: readonly string[];
  }[];
  /** Resolved volumes. */
  readonly volumes?: readonly {
    /** Name in the machine. */
    readonly name: string;
    /** Volume. */
    readonly volume: string;
    /** Its uid. */
    readonly uid: string;
    /** What it is. */
    readonly type: 'SharedFilesystem' | 'Disk';
    /** Its size. */
    readonly size: string;
    /** Gluster volume that it is on. */
    readonly glusterVolume: string;
    /** A disk may be made where it can be lost. */
    readonly allowUnsafe?: boolean;
    /** By which this machine, and no other, may write to the disk. */
    readonly grant?: number;
    /** The guest can only read it. */
    readonly readOnly?: boolean;
    /** It is known to be there: a host that does not find it refuses to start the machine. Else the first host makes it. */
    readonly made?: boolean;
  }[];
  /** Primary address. */
  readonly ip?: string;
  /** Host name in the guest. */
  readonly hostname?: string;
  /** The agent in the guest, while it answers. */
  readonly guestAgent?: {
    /** As it says itself. */
    readonly version?: string;
  };
  /** What the guest agent last said of the guest. */
  readonly osInfo?: {
    /** Name and version of the operating system. */
    readonly name?: string;
    /** Version of the kernel. */
    readonly kernel?: string;
    /** The host name that the guest has. */
    readonly hostname?: string;
  };
  /** What the hypervisor last said. */
  readonly power?: 'On' | 'Off' | 'Paused';
  /** What the last completed Start or Stop operation asked for (runPolicy Manual, RerunOnFailure). */
  readonly requestedPower?: 'On' | 'Off';
  /** Counts. */
  readonly restarts?: {
    /** On the same host. */
    readonly inPlace?: number;
    /** New attempts. */
    readonly relaunch?: number;
    /** Since the last success. */
    readonly consecutiveFailures?: number;
    /** Not before. */
    readonly retryAfter?: string;
  };
  /** When each phase was last entered. */
  readonly phaseTransitions?: Readonly<Record<string, string>>;
}

export const VirtualMachine: Kind<VirtualMachine> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'VirtualMachine',
  plural: 'virtualmachines',
  singular: 'virtualmachine',
  shortNames: [
    'vm'
  ],
  namespaced: true,
  selectableFields: [
    'spec.placement.cluster',
    'status.attempt.cluster',
    'status.phase'
  ]
};
