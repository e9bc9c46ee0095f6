/** What is on this host, found by looking. A uid that is missing here is taken as proof that its domain is gone. */
import type { Inventory, MachineReport } from '#lib/api/messages.ts';
import type { HostDevices, Hypervisor } from './hypervisor.ts';
import type { ImageStore } from './images/store.ts';

export interface InventoryDeps {
  readonly bootId: string;
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  readonly images: ImageStore;
  machines(): readonly MachineReport[];
  /** Digests of images in use. Rejects if that cannot be found out. */
  backings(): Promise<readonly string[]>;
}

/**
 * Machines that the journal says are alive are listed even before their domain is defined: a launch that was accepted a moment ago is not
 * gone. They are asked for after the domains, so that one defined in between is in either list.
 */
export async function takeInventory(deps: InventoryDeps): Promise<Inventory> {
  const { bootId, hypervisor, devices } = deps;
  const { ours, foreign } = await hypervisor.list();
  const [disks, images, backings] = await Promise.all([
    devices.owners(),
    deps.images.digests(),
    deps.backings().catch(() => undefined),
  ]);
  // What waits for a guest becomes a machine by a task of the journal alone.
  const here = ours.filter((domain) => !domain.receiving);
  const domains = new Map(here.map(({ uid, attempt, power }) => [uid, { uid, attempt, power }]));
  for (const { uid, attempt, power } of deps.machines()) domains.set(uid, { uid, attempt, power });
  const found = { bootId, domains: [...domains.values()], foreign, images: images ?? [], disks };
  return { ...found, ...(backings && { backings }) };
}
