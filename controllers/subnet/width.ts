/** On how many hosts of one cluster a subnet is: a host reaches so many others, and no more. Pure. */
import { type ConditionDraft, conditionOf } from '#lib/api/conditions.ts';
import type { Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import { peersMax } from '#lib/api/messages.ts';

export interface Width {
  readonly cluster: string;
  readonly hosts: number;
}

/** Of the cluster where it is on most hosts. */
export function widthOf(machines: readonly VirtualMachine[]): Width | undefined {
  const hosts = new Map<string, Set<string>>();
  for (const { status } of machines) {
    for (const { cluster, host } of [status?.attempt ?? {}, status?.migration ?? {}]) {
      if (cluster === undefined || host === undefined) continue;
      const there = hosts.get(cluster) ?? new Set();
      hosts.set(cluster, there.add(host));
    }
  }
  const widths = [...hosts].map(([cluster, there]) => ({ cluster, hosts: there.size }));
  return widths.sort((a, b) => b.hosts - a.hosts)[0];
}

/** Only on subnets that were ever too wide: on all others it would be written for nothing. */
export function widthCondition(subnet: Subnet, width: Width | undefined): readonly ConditionDraft[] {
  const type = 'Connected';
  if (width && width.hosts > peersMax + 1) {
    const message =
      `${width.hosts} hosts of cluster ${width.cluster} carry it, and a host reaches ${peersMax} others at most: machines on hosts beyond are ` +
      'not started. Spread them over several Subnets';
    return [{ type, status: 'False', reason: 'TooManyHosts', message }];
  }
  return conditionOf(subnet, type) ? [{ type, status: 'True', reason: 'Connected', message: '' }] : [];
}
