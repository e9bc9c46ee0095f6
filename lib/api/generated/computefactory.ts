// Generated from crds/computefactories.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** So many units of compute capacity, made of machines of some shapes, kept at that. */
export interface ComputeFactory extends KubeObject {
  readonly spec: ComputeFactorySpec;
  readonly status?: ComputeFactoryStatus;
}

export interface ComputeFactorySpec {
  /** How much. */
  readonly capacity: {
    /** What a machine weighs: its cores, its memory in GiB rounded up, or 1. Immutable. Default: "Cores". */
    readonly unit: 'Cores' | 'MemoryGiB' | 'Instances';
    /** Desired capacity in units; the path of the scale subresource. */
    readonly target: number;
    /** Lowest allowed target. Default: 0. */
    readonly min: number;
    /** Highest allowed target. */
    readonly max?: number;
  };
  /** Whether one last machine may exceed the target. Default: "AllowLast". */
  readonly overshoot: 'AllowLast' | 'Never';
  /** AllOrNothing starts what is missing only when all of it has room at one time, on one Cluster. Default: "BestEffort". */
  readonly fulfilment: 'BestEffort' | 'AllOrNothing';
  /** With AllOrNothing, how long room is kept for a part of it, and how long it may run in part. Default: "10m". */
  readonly fulfilmentTimeout: string;
  /** How long a shape of fixed size may find no room, or a Cluster be away, before capacity moves; 120s if it is not said, 30s at least. */
  readonly shiftAfter?: string;
  /** Sizes of machines to make capacity from; each names exactly one of instanceType, cores with memory, flexible. */
  readonly shapes: readonly {
    /** Name of an InstanceType. */
    readonly instanceType?: string;
    /** Virtual CPUs. */
    readonly cores?: number;
    /** Guest memory. */
    readonly memory?: string;
    /** Sizes chosen from what hosts have free: as few and as large machines as fit, the last one cut to the target. */
    readonly flexible?: {
      /** Smallest machine; 1 if left out. */
      readonly minCores?: number;
      /** Largest machine. */
      readonly maxCores: number;
      /** Sizes are multiples of this; 1 if left out. */
      readonly stepCores?: number;
      /** Guest memory per core. */
      readonly memoryPerCore: string;
    };
    /** Higher is preferred; 0 if left out. */
    readonly priority?: number;
    /** Least units of this shape. */
    readonly min?: number;
    /** Most units of this shape. */
    readonly max?: number;
  }[];
  /** Where. */
  readonly placement?: {
    /** Names of the Clusters to use; all if empty. */
    readonly clusters?: readonly string[];
    /** Labels that a Cluster must carry. */
    readonly clusterSelector?: {
      /** Exact matches. */
      readonly matchLabels?: Readonly<Record<string, string>>;
    };
  };
  /** What every machine looks like. */
  readonly template: {
    /** Labels and annotations of the machines. */
    readonly metadata?: {
      /** Labels. */
      readonly labels?: Readonly<Record<string, string>>;
      /** Annotations. */
      readonly annotations?: Readonly<Record<string, string>>;
    };
    /** The machines that are wanted. */
    readonly spec: {
      /** When its host is emptied: None (or absent) stops the machine, and it starts elsewhere as its runPolicy says. LiveMigrateIfPossible moves it as it runs, and stops it only if that cannot be. */
      readonly evictionStrategy?: 'None' | 'LiveMigrateIfPossible';
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
    };
  };
  /** True: effective target 0. Default: false. */
  readonly suspend: boolean;
  /** Stop all decisions; deletion still works. Default: false. */
  readonly paused: boolean;
}

export interface ComputeFactoryStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** All figures in units. */
  readonly capacity?: {
    /** Unit of the figures. */
    readonly unit?: string;
    /** Target and unit for people. */
    readonly text?: string;
    /** As asked for. */
    readonly target?: number;
    /** Target after suspend. */
    readonly effectiveTarget?: number;
    /** Weight of wanted machines, placed or not. */
    readonly planned?: number;
    /** Part of planned with a live attempt on a host. */
    readonly provisioned?: number;
    /** Part that runs. */
    readonly running?: number;
    /** Part that is Ready. */
    readonly ready?: number;
    /** Part being taken down. */
    readonly draining?: number;
    /** Part on hosts that do not answer. */
    readonly unreachable?: number;
    /** Weight of all machines not proven gone. */
    readonly committed?: number;
  };
  /** Ready of effective target. */
  readonly fulfilledPercent?: number;
  /** What is missing and why. */
  readonly unfulfilled?: {
    /** Missing units. */
    readonly units?: number;
    /** Reason word. */
    readonly reason?: string;
    /** Counted refusals per cluster. */
    readonly message?: string;
    /** Since when. */
    readonly since?: string;
  };
  /** One row per pool. */
  readonly pools?: readonly {
    /** VMPool. */
    readonly name?: string;
    /** Cluster. */
    readonly cluster?: string;
    /** Shape, for example 48c. */
    readonly shape?: string;
    /** Cores of one machine. */
    readonly cores?: number;
    /** Memory of one machine. */
    readonly memory?: string;
    /** Machines wanted. */
    readonly replicas?: number;
    /** Machines ready. */
    readonly ready?: number;
  }[];
  /** Label selector of the machines. */
  readonly selector?: string;
  /** Machine objects. */
  readonly vms?: number;
  /** One word for people. */
  readonly displayStatus?: string;
}

export const ComputeFactory: Kind<ComputeFactory> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'ComputeFactory',
  plural: 'computefactories',
  singular: 'computefactory',
  shortNames: [
    'cf'
  ],
  namespaced: true
};
