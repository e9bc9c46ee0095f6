/** Removes what earlier lives left behind, by order of the cluster server only. */
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { HostDevices, Hypervisor } from './hypervisor.ts';
import { removeMachine } from './machine/host.ts';

export interface CleanupDeps {
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  /** The journal has a live machine under this uid: an order that is older than its launch must not hurt it. */
  isLive(uid: string): boolean;
  readonly log: Log;
}

/**
 * One uid after the other; one that fails is left for the next order. Only what carries our metadata or lies under our own directories is
 * found here at all, so nothing of others is touched. The domain is removed last: it is what the next inventory finds.
 */
export async function cleanUp(deps: CleanupDeps, uids: readonly string[]): Promise<void> {
  const known = new Set([
    ...(await deps.hypervisor.list()).ours.map(({ uid }) => uid),
    ...(await deps.devices.owners()),
  ]);
  for (const uid of uids) {
    if (!known.has(uid)) continue;
    if (deps.isLive(uid)) {
      deps.log.warn('Did not clean up: the machine is alive', { uid });
      continue;
    }
    try {
      await removeMachine(deps, uid);
      deps.log.info('Cleaned up', { uid });
    } catch (error) {
      deps.log.warn('Cleaning up failed; it goes on with the next order', { uid, reason: messageOf(error) });
    }
  }
}
