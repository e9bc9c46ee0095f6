/** Disks and networks of a host of real machines. */
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { diskOwners, makeDisks, removeDisks } from '../disks/disks.ts';
import type { HostDevices } from '../hypervisor.ts';
import { hostNetworks } from '../network/networks.ts';

export interface LibvirtDevicesOptions {
  /** Holds `vms/<uid>/` and `network/<vni>/`. QEMU's user must be able to enter it. */
  readonly root: string;
  /** Network namespace that bridges and DHCP live in: a pretended host's. The executor's own unless given. */
  readonly netns?: string;
  readonly clock?: Clock;
}

export function libvirtDevices({ root, netns, clock = systemClock }: LibvirtDevicesOptions): HostDevices {
  const networks = hostNetworks({ root, netns, clock });
  return {
    makeDisks: (machine) => makeDisks(root, machine),
    removeDisks: (uid) => removeDisks(root, uid),
    attachNetworks: (machine) => networks.attach(machine),
    detachNetworks: (uid) => networks.detach(uid),
    async owners() {
      return [...new Set([...(await diskOwners(root)), ...networks.owners()])];
    },
  };
}
