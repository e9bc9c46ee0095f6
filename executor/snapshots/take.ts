/**
 * Takes one snapshot of a machine's root disk. Of one that runs, the hypervisor copies the disk as it is at one moment, for which the guest's
 * file systems are frozen; of one that is off, its file is copied. Either copy is then made a disk of its own and put into the image store.
 * The machine's disk is only read: whatever happens in between, it is as it was.
 */
import type { DiskOrder, SnapshotIndication, SnapshotResult } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Domain, HostDevices, Hypervisor, MachineDisks } from '../hypervisor.ts';
import { DiskNeededError, type DiskUse } from './disk-use.ts';
import { type FrozenGuests, frozenMs } from './frozen.ts';
import { stage } from './kept.ts';

/** How often a copy is asked after. */
const lookMs = 500;
const againMs = 1_000;
const triesMax = 3;
const cannotCopy = 'The hypervisor could not copy the disk: it may be broken, or the host is out of room';
/** While the hypervisor is being started anew it does not answer. */
const silenceMs = 60_000;

export interface TakeTools {
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  readonly imageStore: string;
  readonly use: DiskUse;
  readonly guests: FrozenGuests;
  readonly clock: Clock;
}

export type SnapshotOrder = Extract<DiskOrder, { order: 'Snapshot' }>;

export interface TakenOf {
  readonly image: MachineDisks['image'];
  /** Names of its data disks and volumes, which stay out of its snapshots. */
  readonly notKept: readonly string[];
}

/** It makes no sense to try again: so it is. */
class RefusedError extends Error {}

interface Copy {
  /** It stands on nothing already. */
  readonly whole: boolean;
  readonly consistency: SnapshotResult['consistency'];
  readonly indications: readonly SnapshotIndication[];
}

/** Throws the signal's reason, and Error with what the user of the machine has to know. */
export async function take(
  tools: TakeTools,
  order: SnapshotOrder,
  machine: TakenOf,
  { signal, leftMs }: { readonly signal: AbortSignal; leftMs(): number },
): Promise<SnapshotResult> {
  const { devices, imageStore } = tools;
  const { uid, snapshot } = order;
  const { image, notKept } = machine;
  await devices.copies.requireRoom(uid, image);
  const { whole, consistency, indications } = await copyAsItIs(tools, order, signal);
  const staged = await stage(imageStore, snapshot);
  const limits = { deadlineMs: Math.max(1, leftMs()), signal };
  const virtualSize = await devices.copies.flatten({ uid, snapshot, image, whole }, staged.file, limits);
  const { digest, size } = await staged.publish(signal);
  const all = notKept.length > 0 ? [...indications, 'Partial' as const] : indications;
  return { digest, format: 'qcow2', size, virtualSize, consistency, indications: all, notKept };
}

/**
 * Begins anew if the machine went on or off under the copy, and a few times if the guest did not freeze in time or the hypervisor was begun
 * anew: what it was copying then it may have forgotten.
 */
async function copyAsItIs(tools: TakeTools, order: SnapshotOrder, signal: AbortSignal): Promise<Copy> {
  for (let failures = 0; ; ) {
    signal.throwIfAborted();
    try {
      const copy = await tryToCopy(tools, order, signal);
      if (copy) return copy;
    } catch (error) {
      failures += 1;
      if (signal.aborted || error instanceof RefusedError || failures === triesMax) throw error;
    }
    await tools.clock.sleep(againMs, signal);
  }
}

async function tryToCopy(tools: TakeTools, order: SnapshotOrder, signal: AbortSignal): Promise<Copy | undefined> {
  const { hypervisor, devices } = tools;
  const { uid } = order;
  await hypervisor.stopCopy(uid);
  await devices.copies.clear(uid);
  const domain = await hypervisor.get(uid);
  if (!domain) throw new RefusedError(`Machine ${uid} has no domain on this host any more`);
  if (domain.power === 'Off') return await copyOff(tools, order, domain, signal);
  const copy = await copyOn(tools, order, domain, signal);
  if (!copy && (await hypervisor.get(uid))?.power === domain.power) throw new Error(cannotCopy);
  return copy;
}

/** Nothing writes to it. How its file systems are depends on how it went off; of a host that lost its power nobody tells. */
async function copyOff(
  { hypervisor, devices, use }: TakeTools,
  { uid, consistency: wanted }: SnapshotOrder,
  { offReason }: Domain,
  signal: AbortSignal,
): Promise<Copy | undefined> {
  const consistency = offReason === 'Shutdown' ? 'Quiesced' : 'CrashConsistent';
  if (wanted === 'Quiesced' && consistency !== 'Quiesced')
    throw new RefusedError('Nobody saw the machine shut down, so its file systems may be as after a crash');
  try {
    return await use.yielding(uid, signal, async (either) => {
      if ((await hypervisor.get(uid))?.power !== 'Off') return undefined;
      await devices.copies.copy(uid, either);
      return (await hypervisor.get(uid))?.power === 'Off' ? { whole: false, consistency, indications: [] } : undefined;
    });
  } catch (error) {
    if (error instanceof DiskNeededError) return undefined;
    throw error;
  }
}

async function copyOn(
  tools: TakeTools,
  order: SnapshotOrder,
  domain: Domain,
  signal: AbortSignal,
): Promise<Copy | undefined> {
  const { hypervisor, clock } = tools;
  const begun = await beginCopy(tools, order, domain);
  try {
    for (;;) {
      const state = await stateOf(tools, order.uid, signal);
      if (state === 'Copied') return { whole: true, ...begun };
      if (state === 'Failed') return undefined;
      await clock.sleep(lookMs, signal);
    }
  } catch (error) {
    await hypervisor.stopCopy(order.uid);
    throw error;
  }
}

async function stateOf({ hypervisor, clock }: TakeTools, uid: string, signal: AbortSignal) {
  const until = clock.monotonic() + silenceMs;
  for (;;) {
    try {
      return await hypervisor.copyState(uid);
    } catch (error) {
      if (clock.monotonic() > until) throw error;
      await clock.sleep(againMs, signal);
    }
  }
}

/** The moment of the snapshot. The guest is thawed whatever happens. */
async function beginCopy(
  { hypervisor, devices, guests, clock }: TakeTools,
  { uid, consistency }: SnapshotOrder,
  { power }: Domain,
): Promise<Omit<Copy, 'whole'>> {
  const begin = async () => await hypervisor.copyDisk(uid, devices.copies.fileFor(uid));
  const crash = async (...indications: SnapshotIndication[]): Promise<Omit<Copy, 'whole'>> => {
    if (consistency === 'Quiesced') throw unquiesced(indications[0]!);
    await begin();
    return { consistency: 'CrashConsistent', indications };
  };
  if (consistency === 'CrashConsistent') return await crash();
  if (power === 'Paused') return await crash('Paused');
  const since = clock.monotonic();
  const freezing = await guests.freeze(uid).catch(async (error) => {
    await guests.thaw(uid);
    throw error;
  });
  if (freezing !== 'Frozen') {
    await guests.thaw(uid);
    return await crash(freezing);
  }
  try {
    await begin();
  } catch (error) {
    await guests.thaw(uid);
    throw error;
  }
  const inTime = (await guests.thaw(uid)) && clock.monotonic() - since < frozenMs;
  if (inTime) return { consistency: 'Quiesced', indications: ['GuestAgent'] };
  if (consistency === 'Quiesced') throw unquiesced('QuiesceTimeout');
  return { consistency: 'CrashConsistent', indications: ['QuiesceTimeout'] };
}

/** A guest that had too much to do is asked again; one that is paused stays so. */
function unquiesced(why: SnapshotIndication): Error {
  const text = refusals[why] ?? 'The guest could not be quiesced';
  return why === 'Paused' ? new RefusedError(text) : new Error(text);
}

const refusals: Readonly<Partial<Record<SnapshotIndication, string>>> = {
  Paused: 'The machine is paused: its guest cannot be asked to write what it has in memory',
  NoGuestAgent: 'No guest agent in the machine freezes its file systems: install qemu-guest-agent, or ask for less',
  QuiesceTimeout: 'The guest did not stay frozen until its disk was taken, or took longer than 10 s to freeze',
};
