/** Disks and networks of a host of real machines. */
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { backingsOf } from '../disks/backings.ts';
import { diskCopies } from '../disks/copies.ts';
import { diskOwners, makeDisks, makeSeed, removeDisks, requireDisk, rootDiskOf } from '../disks/disks.ts';
import { readOwnDisk } from '../disks/own-disk.ts';
import type { HostDevices, HostVolumes } from '../hypervisor.ts';
import { hostNetworks } from '../network/networks.ts';
import { dial, knock } from '../network/reach.ts';
import type { AllowedSegments } from '../network/segment.ts';
import { noVolumes } from '../volumes/none.ts';

export interface LibvirtDevicesOptions {
  /** Holds `vms/<uid>/` and `network/<vni>/`. QEMU's user must be able to enter it. */
  readonly root: string;
  /** Network namespace that bridges and DHCP live in: a pretended host's. The executor's own unless given. */
  readonly netns?: string;
  /** IPv4 address at which other hosts reach this one. */
  readonly tunnelAddress?: string;
  /** Networks (CIDR) that guests with egress may reach although they are not the Internet's. */
  readonly allowPrivateEgress?: readonly string[];
  /** Networks of the site that guests may be put on; none unless given. */
  readonly segments?: AllowedSegments | undefined;
  /** None unless given. */
  readonly volumes?: HostVolumes | undefined;
  readonly clock?: Clock;
}

export function libvirtDevices({
  root,
  netns,
  tunnelAddress,
  allowPrivateEgress = [],
  segments,
  volumes = noVolumes,
  clock = systemClock,
}: LibvirtDevicesOptions): HostDevices {
  const networks = hostNetworks({ root, netns, tunnelAddress, allowPrivateEgress, segments, clock });
  return {
    makeDisks: (machine) => makeDisks(root, machine),
    requireOwnDisk: async (uid, base) => void (await readOwnDisk(rootDiskOf(root, uid), base)),
    makeSeed: (uid, seed) => makeSeed(root, uid, seed),
    removeDisks: (uid) => removeDisks(root, uid),
    backings: async (uid) => await backingsOf(root, uid === undefined ? await diskOwners(root) : [uid]),
    attachNetworks: (machine) => networks.attach(machine),
    requireFree: (machine, connected) => networks.requireFree(machine, connected),
    detachNetworks: (uid) => networks.detach(uid),
    knock: (network, port, signal) => knock(network, port, signal, netns),
    dial: (network, port, signal) => dial(network, port, signal, netns),
    async requireWhole(machine) {
      await networks.requireWhole(machine);
      await requireDisk(root, machine.uid);
    },
    setPeers: (vni, peers) => networks.setPeers(vni, peers),
    volumes,
    copies: diskCopies(root),
    async owners() {
      return [...new Set([...(await diskOwners(root)), ...networks.owners(), ...(await volumes.owners())])];
    },
  };
}
