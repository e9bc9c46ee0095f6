/** Networks of the site, which a Subnet names and hosts have: what it is on the hosts of one cluster. Pure. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { NetworkSegment } from '#lib/api/launch.ts';

type Segment = NonNullable<NonNullable<NonNullable<VirtualMachine['status']>['networks']>[number]['segment']>;

/** Its names in that cluster. */
export function partFor(segment: Segment, cluster: string | undefined): Omit<Segment, 'clusters'> {
  return segment.clusters?.find((each) => each.cluster === cluster) ?? segment;
}

export function segmentOf(segment: Segment, cluster: string | undefined): NetworkSegment {
  const { bridge, parentNIC, vlan } = partFor(segment, cluster);
  if (bridge !== undefined) return { bridge };
  if (parentNIC !== undefined && vlan !== undefined) return { nic: parentNIC, vlan };
  throw new Error('The segment of a Subnet names neither a bridge nor a VLAN');
}
