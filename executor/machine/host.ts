/** Does to the host what the transitions decided: thin, every step safe to repeat. */
import type { MachineLaunch, SeedSecrets } from '#lib/api/launch.ts';
import { isThere } from '#lib/std/files.ts';
import { type ConsolePaths, consolePaths } from '../console/paths.ts';
import { type DomainSpec, type HostDevices, type Hypervisor, leftMessage, type MadeDisks } from '../hypervisor.ts';
import type { ImageStore } from '../images/store.ts';
import { isRemovable, seedOf } from '../seed/seed.ts';
import type { DiskUse } from '../snapshots/disk-use.ts';
import type { Cause } from './driver.ts';
import { awaitsPlug, type HostEffect, type MachineEvent, type MachineState } from './state.ts';

export interface HostTools {
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  /** Holds `vms/<uid>/`. */
  readonly root: string;
  readonly images: ImageStore;
  /** Throws if the machine must not be started now. */
  requireTime(uid: string): void;
  readonly use: DiskUse;
}

type Owned = Pick<MachineState, 'launch' | 'plugged'>;

/** Throws what the driver or the devices throw; the machine's transitions decide what that means. */
export async function perform(
  tools: HostTools,
  state: Owned,
  effect: HostEffect,
  { event, before }: Cause,
): Promise<void> {
  const { hypervisor, devices } = tools;
  const { launch } = state;
  const { uid, networks, hostname } = launch;
  switch (effect) {
    case 'seed':
      return await devices.makeSeed(uid, seedOf(launch, secretsOf(event)));
    case 'provision':
      return await define(tools, state);
    case 'start':
      // Defined anew unless that was just done: disks and bridges are looked after, and a domain that somebody removed comes back.
      return await tools.use.first(uid, async () => {
        if (before !== 'provision') await define(tools, state);
        const { digest, format } = launch.image;
        await devices.requireOwnDisk(uid, { paths: tools.images.places(digest), format });
        tools.requireTime(uid);
        await hypervisor.start(uid);
      });
    case 'plug':
      await devices.requireFree({ uid, networks, hostname });
      return await hypervisor.plug(uid);
    case 'shutdown':
    case 'destroy':
    case 'reset':
    case 'suspend':
    case 'resume':
      return await hypervisor[effect](uid);
    case 'remove':
      return await tools.use.first(uid, () => removeMachine(tools, uid));
  }
}

function secretsOf(event: MachineEvent): SeedSecrets {
  if (event.type !== 'secrets') throw new Error(`Cannot make a seed of what ${event.type} brought`);
  return event.secrets;
}

async function define(tools: HostTools, state: Owned): Promise<void> {
  const { launch } = state;
  const { devices, hypervisor, root } = tools;
  const path = await imageOf(tools, launch);
  const { uid, installation, attempt, rootDiskBytes, disks: wanted = [], networks, hostname } = launch;
  const image = { path, format: launch.image.format };
  const seed = launch.secretSeed ? {} : { seed: seedOf(launch) };
  const disks = await devices.makeDisks({ uid, image, rootDiskBytes, disks: wanted, ...seed });
  const attached = await devices.attachNetworks({ uid, networks, hostname });
  // To ask for an address takes a second and a half, which the guest needs to boot anyway.
  const nics = awaitsPlug(state) ? attached.map((nic) => ({ ...nic, unplugged: true as const })) : attached;
  const volumes = await devices.volumes.attach({ uid, installation, attempt, volumes: launch.volumes ?? [] });
  const seedRemovable = isRemovable(launch);
  await hypervisor.define({ ...identity(launch), ...disks, seedRemovable, nics, volumes, ...consolePaths(root, uid) });
}

/**
 * The image that a machine's disk stands on, or is to stand on. One that was made stands where it was made: if that is there nothing else is
 * asked, since the store may be away; if it is not, the image is brought back to where it was. What a disk says of itself counts only if it
 * is a place of that image: a guest may have written it.
 */
export async function imageOf(
  { devices, images }: Pick<HostTools, 'devices' | 'images'>,
  { uid, image }: Pick<MachineLaunch, 'uid' | 'image'>,
): Promise<string> {
  const places = images.places(image.digest);
  const standing = (await devices.backings(uid)).find((path) => places.includes(path));
  if (standing === undefined) return await images.find(image.digest);
  if (await isThere(standing)) return standing;
  await Promise.allSettled([images.restore(image.digest), images.find(image.digest)]);
  if (await isThere(standing)) return standing;
  throw new Error(`The disk of machine ${uid} stands on ${standing}, which is gone and cannot be brought back`);
}

type Identity = Omit<DomainSpec, keyof MadeDisks | 'seedRemovable' | 'nics' | 'volumes' | keyof ConsolePaths>;

/** What of it is told as it is. */
function identity(launch: MachineLaunch): Identity {
  const { uid, installation, namespace, name, attempt, cores, memoryMiB, rootDiskLimits, ioWeight } = launch;
  return {
    ...{ uid, installation, namespace, name, attempt, cores, memoryMiB },
    ...(rootDiskLimits && { rootDiskLimits }),
    ...(ioWeight !== undefined && { ioWeight }),
  };
}

/**
 * The domain last: while it is known its uid is in every inventory, so that a worker killed half way is found out. Its files can go before
 * it because it is off.
 */
export async function removeMachine(
  { hypervisor, devices }: Pick<HostTools, 'hypervisor' | 'devices'>,
  uid: string,
): Promise<void> {
  await hypervisor.destroy(uid);
  const left = (await hypervisor.get(uid))?.left;
  if (left) throw new Error(`Cannot remove machine ${uid}: ${leftMessage(left)}`);
  await devices.detachNetworks(uid);
  await devices.volumes.detach(uid);
  await devices.removeDisks(uid);
  await hypervisor.undefine(uid);
}
