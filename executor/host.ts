/** The host as the executor sees it: real or imitated, chosen by the configuration. */
import { mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { ExecutorConfig } from './config.ts';
import type { Guard } from './fence/guard.ts';
import type { HostDevices, Hypervisor } from './hypervisor.ts';
import { ImageCache } from './images/cache.ts';
import { type ImageStore, imageStore } from './images/store.ts';
import type { HostStorage } from './store/open.ts';

export interface Host {
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  readonly images: ImageStore;
  /** What switches machines off that have lost us. `bootId` as `bootId()` tells it. */
  guard(bootId: string): Guard;
  /** Of a real host: whether machines can start on its images. */
  readonly storage?: HostStorage;
  /** Another one after every boot. */
  bootId(): Promise<string>;
}

/**
 * Opens the host without waiting for libvirt: subscribing to Mesos must not depend on it. Each kind is loaded on demand. The caller
 * disposes of the hypervisor and the storage.
 */
export async function openHost(config: ExecutorConfig, clock: Clock, log: Log): Promise<Host> {
  const { store = imageStore(config.imageStore, clock), ...opened } = await openHypervisor(config, clock, log);
  return {
    ...opened,
    images: await openImages(config, store, opened.devices, clock, log),
    bootId: async () => await readBootId(config.bootIdFile),
  };
}

/** A cache that cannot be used is gone without: machines start from the store. */
async function openImages(
  { imageCache, root }: ExecutorConfig,
  store: ImageStore,
  devices: HostDevices,
  clock: Clock,
  log: Log,
): Promise<ImageStore> {
  if (!imageCache) return store;
  try {
    const [source, backings] = [store.find, () => devices.backings()];
    const cache = await ImageCache.open({ ...imageCache, owner: root, source, backings, clock, log });
    return {
      ...store,
      find: (digest) => cache.find(digest),
      places: (digest) => [cache.pathOf(digest), ...store.places(digest)],
      cache,
    };
  } catch (error) {
    log.error('The cache of images is not used', { reason: messageOf(error) });
    return store;
  }
}

async function readBootId(bootIdFile: string): Promise<string> {
  return (await readFile(bootIdFile, 'utf8')).trim();
}

type Opened = Pick<Host, 'hypervisor' | 'devices' | 'guard' | 'storage'> & { readonly store?: ImageStore };

async function openHypervisor(config: ExecutorConfig, clock: Clock, log: Log): Promise<Opened> {
  const { hypervisor, root } = config;
  if (hypervisor === 'libvirt') return await openLibvirt(config, clock, log);
  const { openSim } = await import('./sim/hypervisor.ts');
  const glusterVolumes = config.gluster?.volumes ?? [];
  const { simGuard } = await import('./sim/guard.ts');
  const sim = openSim({ root, ...config.sim, glusterVolumes, clock, log });
  return { ...sim, guard: (bootId) => simGuard(root, bootId, sim.hypervisor) };
}

async function openLibvirt(config: ExecutorConfig, clock: Clock, log: Log): Promise<Opened> {
  const { root, netns, hostDir, tunnelAddress, libvirtSocket, installation } = config;
  const [{ libvirtHypervisor }, { libvirtDevices }, { readLimits }, { QemuBook }, { openStorage }, { processGuard }] =
    await Promise.all([
      import('./libvirt/driver.ts'),
      import('./libvirt/devices.ts'),
      import('./libvirt/limits.ts'),
      import('./libvirt/qemu-book.ts'),
      import('./store/open.ts'),
      import('./fence/process-guard.ts'),
    ]);
  // A pretended host does not see the computer's control groups.
  const [mountinfo, status] = netns === undefined ? await Promise.all(['mountinfo', 'status'].map(readOwn)) : ['', ''];
  const { limits, why } = readLimits(mountinfo!, status!);
  if (why.length > 0) log.warn('Guests can take more of this host than their tasks were given', { why });
  const processes = new QemuBook({ root });
  const { imageStore: directory } = config;
  const storage = { directory, root, hostDir, stuck: () => processes.stuck() };
  return {
    ...openStorage({ ...storage, clock, log }),
    hypervisor: libvirtHypervisor({
      clock,
      processes,
      ...(hostDir === undefined ? {} : { runtimeDirectory: join(hostDir, 'lib/qemu') }),
      kvm: askOnce(config, log),
      limits,
      ...(libvirtSocket === undefined ? {} : { socket: libvirtSocket }),
      ...(installation === undefined ? {} : { installation }),
    }),
    devices: libvirtDevices({
      ...{ root, clock, volumes: await openVolumes(config, clock, log) },
      ...(netns === undefined ? {} : { netns }),
      ...(tunnelAddress === undefined ? {} : { tunnelAddress }),
      allowPrivateEgress: config.allowPrivateEgress,
      segments: config.segments,
    }),
    guard: (bootId) => processGuard({ root, bootId, log }),
  };
}

async function openVolumes({ root, netns, gluster }: ExecutorConfig, clock: Clock, log: Log) {
  if (!gluster) return undefined;
  const { glusterVolumes } = await import('./volumes/volumes.ts');
  const { volumes: names, servers, command } = gluster;
  // Pretended hosts of one computer have its name.
  return glusterVolumes({ root, netns, host: netns ?? hostname(), names, servers, command, clock, log });
}

async function readOwn(name: string): Promise<string> {
  return await readFile(`/proc/self/${name}`, 'utf8');
}

/** Asked when the first guest or the first fact needs it. Where it cannot be asked guests are emulated, and the next one asks again. */
function askOnce({ root, bootIdFile, kvm }: ExecutorConfig, log: Log): () => Promise<boolean> {
  if (kvm !== undefined) return async () => kvm;
  let asked: Promise<boolean> | undefined;
  const ask = async (): Promise<boolean> => {
    try {
      const { probeKvm } = await import('./libvirt/kvm-probe.ts');
      await mkdir(root, { recursive: true });
      const { boots, why } = await probeKvm({ file: join(root, 'kvm.json'), bootId: await readBootId(bootIdFile) });
      log.info(boots ? 'Guests run with KVM' : 'KVM cannot run a guest here: guests are emulated', { why });
      return boots;
    } catch (error) {
      asked = undefined;
      log.warn('Cannot find out whether KVM runs a guest here: guests are emulated', { reason: messageOf(error) });
      return false;
    }
  };
  return async () => {
    asked ??= ask();
    return await asked;
  };
}
