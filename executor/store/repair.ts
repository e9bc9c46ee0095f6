/**
 * Mounts anew what hangs or whose client is gone. The client is ended, which gives up whatever waits in the mount: processes that were killed
 * and hung in it end then. Whoever keeps the mount (systemd, a loop of the host's own) is left to make it again; if nobody does we do, as
 * /etc/fstab says, or from the same source. The kernel gives the numbers of mounts and devices again at once, so a new one is known by its client.
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import { signalProcess } from '#lib/std/process-identity.ts';
import { isThere } from '../processes/kernel.ts';
import { startAbandonable } from '../volumes/abandon.ts';
import { runOutside } from '../volumes/client.ts';
import type { MountEntry } from '../volumes/mountinfo.ts';
import { clientsOf, hasClient } from './processes.ts';
import { inView, mountNamespace, mountOf, type View } from './view.ts';

export interface RepairOptions {
  readonly view: View;
  /** How long whoever keeps the mount may take to make it again. */
  readonly keeperMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

const endMs = 5_000;
const umountMs = 10_000;
const pollMs = 100;

export async function takeDown(entry: MountEntry, options: RepairOptions): Promise<void> {
  const { view, log } = options;
  const clients = clientsOf(entry.point, mountNamespace(view));
  log.warn('Takes the mount of the images down', { source: entry.source, clients: clients.map(({ pid }) => pid) });
  for (const { pid } of clients) signalProcess(pid, 'SIGKILL');
  await until(() => !clients.some(isThere), endMs, options);
  // Somebody else may have made it again by now.
  const old = new Set(clients.map(({ pid }) => pid));
  const isNew = clientsOf(entry.point, mountNamespace(view)).some(({ pid }) => !old.has(pid));
  if (isMounted(entry, view) && !isNew) await takeAway(entry, options);
}

/** Rejects if it cannot be mounted. */
export async function bringBack(entry: MountEntry, options: RepairOptions): Promise<void> {
  const { view, log } = options;
  if (await until(() => isBack(entry, view), options.keeperMs, options)) return;
  // The fstab's own options first.
  const asFstab = inView(view, ['mount', entry.point]);
  const asBefore = inView(view, ['mount', '-t', entry.type.replace(/^fuse\./, ''), entry.source, entry.point]);
  await runOutside(asFstab).catch(async () => await runOutside(asBefore));
  log.info('Mounted the images anew', { source: entry.source });
}

/** Force gives up what waits in it (the client may not end, either); lazy, because files of guests that were killed may be open a while. */
async function takeAway({ point }: MountEntry, { view }: RepairOptions): Promise<void> {
  const [program, ...args] = inView(view, ['umount', '--no-canonicalize', '--force', '--lazy', point]);
  await startAbandonable(program!, args, { deadlineMs: umountMs }).ended;
}

function isMounted({ point, type }: MountEntry, view: View): boolean {
  const now = mountOf(point, view);
  return now?.point === point && now.type === type;
}

/** Its old clients are gone. */
function isBack(entry: MountEntry, view: View): boolean {
  return isMounted(entry, view) && hasClient(entry, mountNamespace(view));
}

async function until(check: () => boolean, withinMs: number, { clock }: RepairOptions): Promise<boolean> {
  const deadline = clock.monotonic() + withinMs;
  while (!check()) {
    if (clock.monotonic() > deadline) return false;
    await clock.sleep(pollMs);
  }
  return true;
}
