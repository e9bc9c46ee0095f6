import type { Secret } from '#lib/api/core.ts';
import type { Image, InstanceType, IPLease, Subnet, VirtualMachine, Volume } from '#lib/api/generated/index.ts';
import type { Judgement } from './run-policy.ts';

type Status = NonNullable<VirtualMachine['status']>;
export type ResolvedNetwork = NonNullable<Status['networks']>[number];
export type ResolvedVolume = NonNullable<Status['volumes']>[number];

/** What must hold before a machine can be placed; in the order in which it is looked at. */
export type Prerequisite = 'ConfigReady' | 'ImageReady' | 'VolumesReady' | 'NetworkReady';

/** The world of one machine, read once. Phases add what they resolved. */
export interface Scope {
  readonly vm: VirtualMachine;
  readonly judgement: Judgement;
  /** That spec.image names. */
  readonly image: Image | undefined;
  /** Of the family that spec.image asks for. */
  readonly familyImages: readonly Image[];
  /** Name of the Image of that family that another machine of the same pool and revision has. Costs a look at them. */
  readonly siblingImage: () => string | undefined;
  readonly instanceType: InstanceType | undefined;
  /** One for each of spec.networks; undefined where there is none of that name. */
  readonly subnets: readonly (Subnet | undefined)[];
  readonly subnetOf: (name: string) => Subnet | undefined;
  /** Of the machine's own namespace. */
  readonly volumeOf: (name: string) => Volume | undefined;
  readonly secretOf: (name: string) => Secret | undefined;
  /** Leases of this machine, by uid or, made by a user before, by name. */
  readonly leases: readonly IPLease[];
  /** What the phases found, to be stored together. */
  readonly resolved: {
    size?: Status['instanceType'];
    image?: Status['image'];
    volumes?: readonly ResolvedVolume[];
    hostname?: string;
    networks?: readonly ResolvedNetwork[];
  };
  /** Those that were looked at and hold. */
  readonly met: Set<Prerequisite>;
}
