/** Puts machines on their subnets and takes them off. Every step is safe to repeat, in any order, after a kill anywhere between two. */

import type { MachineNetwork } from '#lib/api/launch.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { DomainSpec, MachineNics } from '../hypervisor.ts';
import { makeBridge, removeBridge } from './bridge.ts';
import { type DhcpServer, serveDhcp, stopDhcp } from './dhcp.ts';
import { guardTap, unguardTap } from './guard.ts';
import { bridgeName, tapName } from './names.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { requireSafe } from './safe.ts';
import { SubnetFiles } from './subnet-files.ts';

export interface NetworkOptions {
  /** State is kept in `<root>/network/`. */
  readonly root: string;
  readonly netns: string | undefined;
  readonly clock: Clock;
}

export interface Networks {
  attach(machine: MachineNics): Promise<DomainSpec['nics']>;
  detach(uid: string): Promise<void>;
  owners(): readonly string[];
}

export function hostNetworks({ root, netns, clock }: NetworkOptions): Networks {
  const files = new SubnetFiles(root);
  // Who is last on a subnet is decided by looking: two that leave at once must not both find the other still there.
  const inTurn = oneAtATime();
  const dhcp = (vni: number): DhcpServer => ({ vni, directory: files.directory(vni), netns, clock });

  async function join(uid: string, hostname: string, network: MachineNetwork): Promise<DomainSpec['nics'][number]> {
    const { vni, mac, ip, mtu } = network;
    const tap = tapName(uid, vni);
    requireSafe(hostname, network);
    files.put({ uid, hostname, network });
    await makeBridge(vni, mtu, netns);
    await guardTap({ tap, mac, ip }, netns);
    await serveDhcp(dhcp(vni), files.attachments(vni));
    return { tap, bridge: bridgeName(vni), mac, mtu };
  }

  async function leave(uid: string, vni: number): Promise<void> {
    const others = files.attachments(vni).filter((attachment) => attachment.uid !== uid);
    await unguardTap(tapName(uid, vni), netns);
    if (others.length > 0) await serveDhcp(dhcp(vni), others);
    else {
      await stopDhcp(dhcp(vni));
      await removeBridge(vni, netns);
    }
    files.remove(vni, uid);
    if (others.length === 0) files.removeSubnet(vni);
  }

  return {
    attach: (machine) =>
      inTurn(async () => {
        const nics: DomainSpec['nics'][number][] = [];
        for (const network of machine.networks) nics.push(await join(machine.uid, machine.hostname, network));
        return nics;
      }),
    detach: (uid) =>
      inTurn(async () => {
        for (const vni of files.subnets()) {
          const attachments = files.attachments(vni);
          // Nobody: left behind by a kill after the last one left.
          if (attachments.length === 0) files.removeSubnet(vni);
          if (attachments.some((attachment) => attachment.uid === uid)) await leave(uid, vni);
        }
      }),
    owners: () => files.owners(),
  };
}
