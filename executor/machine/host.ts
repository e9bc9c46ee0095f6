/** Does to the host what the transitions decided: thin, every step safe to repeat. */
import type { MachineLaunch, SeedSecrets } from '#lib/api/launch.ts';
import { isThere } from '#lib/std/files.ts';
import { type ConsolePaths, consolePaths } from '../console/paths.ts';
import { type DomainSpec, type HostDevices, type Hypervisor, leftMessage, type MadeDisks } from '../hypervisor.ts';
import type { ImageStore } from '../images/store.ts';
import type { Departures } from '../migration/departures.ts';
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
  /** Who sends guests from here to other hosts. */
  readonly departures: Pick<Departures, 'stop' | 'stayed'>;
}

type Owned = Pick<MachineState, 'launch' | 'plugged'>;

/**
 * Throws what the driver or the devices throw; the machine's transitions decide what that means. Gives what was asked for by who moves the
 * machine.
 */
export async function perform(
  tools: HostTools,
  state: MachineState,
  effect: HostEffect,
  cause: Cause,
): Promise<string | undefined> {
  // While anything is done to it here nobody sends it.
  await tools.departures.stop(state.launch.uid);
  switch (effect) {
    case 'describe':
    case 'receive':
    case 'take':
    case 'refuse':
    case 'keep':
    case 'release':
      return await move(tools, state, effect, cause.event);
    default:
      await act(tools, state, effect, cause);
      return undefined;
  }
}

async function act(
  tools: HostTools,
  state: Owned,
  effect: Exclude<HostEffect, MoveEffect>,
  { event, before }: Cause,
): Promise<void> {
  const { hypervisor, devices } = tools;
  const { launch } = state;
  const { uid, networks, hostname } = launch;
  switch (effect) {
    case 'seed':
      return await devices.makeSeed(uid, seedOf(launch, secretsOf(event)));
    case 'provision':
      if (launch.incoming) await specOf(tools, state);
      else await define(tools, state);
      return;
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

type MoveEffect = 'describe' | 'receive' | 'take' | 'refuse' | 'keep' | 'release';

/** Live migration: each step of it is the hypervisor's. */
async function move(
  tools: HostTools,
  state: MachineState,
  effect: MoveEffect,
  event: MachineEvent,
): Promise<string | undefined> {
  const { hypervisor, departures, requireTime } = tools;
  const { moves } = hypervisor;
  const { uid } = state.launch;
  switch (effect) {
    case 'describe':
      return await moves.describe(await specOf(tools, state));
    case 'receive':
      if (event.type !== 'receive') throw new Error(`Cannot receive what ${event.type} brought`);
      return await moves.receive(await specOf(tools, state), event.begun, event.sockets);
    case 'take':
      if (event.type !== 'finish') throw new Error(`Cannot take what ${event.type} brought`);
      requireTime(uid);
      await moves.take(uid, event.sent);
      return undefined;
    case 'refuse':
      await moves.refuse(uid);
      return undefined;
    case 'keep':
      if (await hypervisor.get(uid)) await moves.end(uid, false);
      departures.stayed(state);
      return undefined;
    case 'release':
      await moves.end(uid, true);
      return undefined;
  }
}

function secretsOf(event: MachineEvent): SeedSecrets {
  if (event.type !== 'secrets') throw new Error(`Cannot make a seed of what ${event.type} brought`);
  return event.secrets;
}

async function define(tools: HostTools, state: Owned): Promise<void> {
  await tools.hypervisor.define(await specOf(tools, state));
}

/** Makes what the domain needs of the host, and says how it is to be. Repeatable. */
async function specOf(tools: HostTools, state: Owned): Promise<DomainSpec> {
  const { launch } = state;
  const { devices, root } = tools;
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
  return { ...identity(launch), ...disks, seedRemovable, nics, volumes, ...consolePaths(root, uid) };
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
  await hypervisor.moves.refuse(uid);
  await hypervisor.destroy(uid);
  const left = (await hypervisor.get(uid))?.left;
  if (left) throw new Error(`Cannot remove machine ${uid}: ${leftMessage(left)}`);
  await devices.detachNetworks(uid);
  await devices.volumes.detach(uid);
  await devices.removeDisks(uid);
  await hypervisor.undefine(uid);
}
