// Generated from crds/vmrestores.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** A disk is put back from a snapshot, into a new machine or in place. Done once. */
export interface VMRestore extends KubeObject {
  readonly spec: VMRestoreSpec;
  readonly status?: VMRestoreStatus;
}

export interface VMRestoreSpec {
  /** Name of the VMSnapshot. */
  readonly snapshot: string;
  /** Exactly one. */
  readonly target: {
    /** A machine that is there and off; what is on its disk is lost. */
    readonly vm?: string;
    /** Name of a machine to be made. */
    readonly newVM?: string;
  };
  /** What to do if the machine is not off. StopTarget stops it, and leaves it off. Default: "FailIfRunning". */
  readonly readiness: 'FailIfRunning' | 'StopTarget';
  /** New for a new machine, Keep in place; nothing else is possible: uid, host name, instance id. */
  readonly identity?: 'New' | 'Keep';
  /** Likewise, of addresses. */
  readonly networks?: 'New' | 'Keep';
}

export interface VMRestoreStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Where it is. */
  readonly phase?: 'Pending' | 'InProgress' | 'Completed' | 'Failed';
  /** Name of the machine that has the disk, or is to have it. */
  readonly vm?: string;
  /** Its uid. */
  readonly vmUID?: string;
  /** Cluster whose host puts it back in place. */
  readonly cluster?: string;
  /** That host. */
  readonly host?: string;
  /** Attempt of the machine whose disk is replaced. */
  readonly attempt?: number;
  /** Of the data that is put back. */
  readonly digest?: string;
  /** The snapshot it was accepted for. */
  readonly snapshotUID?: string;
  /** When the host was told. */
  readonly startedAt?: string;
  /** When it ended. */
  readonly finishedAt?: string;
  /** What happened. */
  readonly message?: string;
}

export const VMRestore: Kind<VMRestore> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'VMRestore',
  plural: 'vmrestores',
  singular: 'vmrestore',
  shortNames: [
    'vmrestore'
  ],
  namespaced: true,
  selectableFields: [
    'status.cluster'
  ]
};
