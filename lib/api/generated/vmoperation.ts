// Generated from crds/vmoperations.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** One operation on one machine, done once. */
export interface VMOperation extends KubeObject {
  readonly spec: VMOperationSpec;
  readonly status?: VMOperationStatus;
}

export interface VMOperationSpec {
  /** Name of the VirtualMachine. */
  readonly vm: string;
  /** The operation. */
  readonly type: 'Start' | 'Stop' | 'Restart' | 'Reset' | 'Pause' | 'Resume' | 'Snapshot' | 'Clone' | 'Migrate';
  /** Do not wait for the guest. Default: false. */
  readonly force: boolean;
  /** Of Clone: name of the new machine. Of Snapshot: name of the VMSnapshot, the operation's own unless told. */
  readonly target?: string;
  /** Give up after this. Default: "5m". */
  readonly timeout: string;
  /** Delete this long after the end. Default: 604800. */
  readonly ttlSecondsAfterFinished: number;
}

export interface VMOperationStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Where it is. */
  readonly phase?: 'Pending' | 'InProgress' | 'Completed' | 'Failed' | 'Superseded';
  /** The machine it was accepted for. */
  readonly vmUID?: string;
  /** Cluster of the machine's live attempt, whose cluster server carries it out. */
  readonly cluster?: string;
  /** What happened. */
  readonly message?: string;
  /** When it was sent first. */
  readonly startedAt?: string;
  /** When it ended. */
  readonly finishedAt?: string;
}

export const VMOperation: Kind<VMOperation> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'VMOperation',
  plural: 'vmoperations',
  singular: 'vmoperation',
  shortNames: [
    'vmop'
  ],
  namespaced: true,
  selectableFields: [
    'status.cluster'
  ]
};
