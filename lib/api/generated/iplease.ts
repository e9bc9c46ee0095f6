// Generated from crds/ipleases.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** One address of one subnet, held by one machine. Its name is subnet and address, so the store itself keeps it unique. */
export interface IPLease extends KubeObject {
  readonly spec: IPLeaseSpec;
  readonly status?: IPLeaseStatus;
}

export interface IPLeaseSpec {
  /** Name of the Subnet. */
  readonly subnet: string;
  /** The address. */
  readonly ip: string;
  /** uid of the VirtualMachine. */
  readonly holderUID?: string;
  /** Its name. */
  readonly holderName?: string;
  /** MAC address. */
  readonly mac?: string;
  /** Made by a user for a name. Default: false. */
  readonly static: boolean;
}

export interface IPLeaseStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Where it is. */
  readonly phase?: 'Bound' | 'Quarantined' | 'Released';
  /** Free after this. */
  readonly quarantinedUntil?: string;
  /** Name of the Host on which its holder may run although it is gone; in quarantine until that is clean. */
  readonly host?: string;
  /** Why it is in quarantine. */
  readonly reason?: string;
}

export const IPLease: Kind<IPLease> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'IPLease',
  plural: 'ipleases',
  singular: 'iplease',
  shortNames: [
    'ipl'
  ],
  namespaced: true
};
