/** The host as the executor sees it: real or imitated, chosen by the configuration. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { ExecutorConfig } from './config.ts';
import type { HostDevices, Hypervisor } from './hypervisor.ts';
import { type ImageStore, imageStore } from './images/store.ts';

export interface Host {
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  readonly images: ImageStore;
  /** Another one after every boot. */
  bootId(): Promise<string>;
}

/**
 * Opens the host without waiting for libvirt: subscribing to Mesos must not depend on it. Each kind is loaded on demand. The caller
 * disposes of the hypervisor.
 */
export async function openHost(config: ExecutorConfig, clock: Clock, log: Log): Promise<Host> {
  const images = imageStore(config.imageStore);
  const bootId = async () => (await readFile(config.bootIdFile, 'utf8')).trim();
  return { ...(await openHypervisor(config, clock, log)), images, bootId };
}

type HypervisorAndDevices = Pick<Host, 'hypervisor' | 'devices'>;

async function openHypervisor(config: ExecutorConfig, clock: Clock, log: Log): Promise<HypervisorAndDevices> {
  const { hypervisor, root } = config;
  if (hypervisor === 'libvirt') return await openLibvirt(config, clock);
  const { openSim } = await import('./sim/hypervisor.ts');
  return openSim({ root, bootMs: config.sim.bootMs, clock, log });
}

async function openLibvirt(config: ExecutorConfig, clock: Clock): Promise<HypervisorAndDevices> {
  const { root, netns, libvirtSocket, installation } = config;
  const [{ libvirtHypervisor }, { libvirtDevices }] = await Promise.all([
    import('./libvirt/driver.ts'),
    import('./libvirt/devices.ts'),
  ]);
  return {
    hypervisor: libvirtHypervisor({
      clock,
      ...(libvirtSocket === undefined ? {} : { socket: libvirtSocket }),
      ...(installation === undefined ? {} : { installation }),
    }),
    devices: libvirtDevices({ root, clock, ...(netns === undefined ? {} : { netns }) }),
  };
}
