// Generated from crds/vmsnapshots.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** The disk of a machine as it was at one moment. */
export interface VMSnapshot extends KubeObject {
  readonly spec: VMSnapshotSpec;
  readonly status?: VMSnapshotStatus;
}

export interface VMSnapshotSpec {
  /** Name of the VirtualMachine. */
  readonly vm: string;
  /** Quiesced: the guest agent freezes the file systems for the moment, or the snapshot fails. CrashConsistent: as if the power had been cut. QuiescedOrCrash: the first if the agent answers. Default: "QuiescedOrCrash". */
  readonly consistency: 'Quiesced' | 'CrashConsistent' | 'QuiescedOrCrash';
  /** A snapshot that is not ready after this is Failed, and leaves nothing. Default: "5m". */
  readonly deadline: string;
  /** What becomes of the data in the image store when this object is deleted. Default: "Delete". */
  readonly deletionPolicy: 'Delete' | 'Retain';
  /** The memory too. Not built; must be false. Default: false. */
  readonly includeMemory: boolean;
}

export interface VMSnapshotStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Where it is. */
  readonly phase?: 'Pending' | 'InProgress' | 'Ready' | 'Failed' | 'Terminating';
  /** The machine that it is of. */
  readonly vmUID?: string;
  /** Cluster whose image store has the data. */
  readonly cluster?: string;
  /** Host that takes it. */
  readonly host?: string;
  /** Attempt of the machine that it is taken of. */
  readonly attempt?: number;
  /** spec of the machine when it was taken, as JSON. New machines are made from it. */
  readonly machine?: string;
  /** When the host was told. */
  readonly startedAt?: string;
  /** When it ended. */
  readonly finishedAt?: string;
  /** What the disk's file systems can be taken for. */
  readonly consistencyAchieved?: 'Quiesced' | 'CrashConsistent';
  /** What there is to know of how it was taken. */
  readonly indications?: readonly string[];
  /** What was kept. */
  readonly disks?: readonly {
    /** Of the machine's disk. */
    readonly name: string;
    /** sha256 of the file in the cluster's image store. */
    readonly digest?: string;
    /** Format of the file. */
    readonly format?: string;
    /** Bytes of the file. */
    readonly size?: number;
    /** Bytes as a guest sees it. */
    readonly virtualSize?: number;
  }[];
  /** Names of the machine's data disks and volumes, which are not in it. */
  readonly notKept?: readonly string[];
  /** Bytes in the image store. */
  readonly size?: number;
  /** Whether a host is to remove what it may have left in the image store. */
  readonly removal?: 'Wanted' | 'Removed';
  /** What happened. */
  readonly message?: string;
}

export const VMSnapshot: Kind<VMSnapshot> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'VMSnapshot',
  plural: 'vmsnapshots',
  singular: 'vmsnapshot',
  shortNames: [
    'vmsnap'
  ],
  namespaced: true,
  selectableFields: [
    'status.cluster'
  ]
};
