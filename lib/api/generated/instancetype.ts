// Generated from crds/instancetypes.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** A named size of machine. */
export interface InstanceType extends KubeObject {
  readonly spec: InstanceTypeSpec;
  readonly status?: InstanceTypeStatus;
}

export interface InstanceTypeSpec {
  /** Virtual CPUs. */
  readonly cores: number;
  /** Guest memory. */
  readonly memory: string;
}

export interface InstanceTypeStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
}

export const InstanceType: Kind<InstanceType> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'InstanceType',
  plural: 'instancetypes',
  singular: 'instancetype',
  shortNames: [
    'it'
  ],
  namespaced: false
};
