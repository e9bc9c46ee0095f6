/** The guard of an imitated host. Imitated machines go off at the next look at the latest: while no worker runs, nobody sees whether they do. */
import { join } from 'node:path';
import type { Guard } from '../fence/guard.ts';
import { fenceFiles, uptimeMs } from '../fence/table.ts';
import type { Hypervisor } from '../hypervisor.ts';

export function simGuard(root: string, bootId: string, hypervisor: Pick<Hypervisor, 'destroy'>): Guard {
  const files = fenceFiles(join(root, 'sim', 'fence'), bootId);
  return {
    now: uptimeMs,
    read: () => files.readTable(),
    write: (table) => files.writeTable(table),
    look: async () => files.readTable()?.number,
    cut: async (uid) => await hypervisor.destroy(uid),
  };
}
