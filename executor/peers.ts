/**
 * What the cluster server tells of the other hosts that carry our subnets. In memory: a new worker names no order in its heartbeats, and is
 * told again. A machine may join a subnet after the order that tells of it, so each joining brings its subnets up to date.
 */
import type { PeersOrder } from '#lib/api/messages.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { HostDevices } from './hypervisor.ts';

export interface PeersOptions {
  readonly devices: HostDevices;
  /** Another order is in force: heartbeats name it. */
  readonly changed: () => void;
  readonly log: Log;
}

export class Peers {
  readonly #options: PeersOptions;
  #told: ReadonlyMap<number, readonly string[]> = new Map();
  #latest: PeersOrder | undefined;
  #inForce: string | undefined;
  #working: Promise<void> = Promise.resolve();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Id of the order that is in force; undefined: none, or it could not be carried out and is waited for once more. */
  get inForce(): string | undefined {
    return this.#inForce;
  }

  /**
   * Orders are carried out one after the other, but for those that a later one has made old. One that fails is repeated by the cluster
   * server at the next heartbeat that does not name it: none is sent early for that.
   */
  order(order: PeersOrder): void {
    this.#told = new Map(order.subnets.map(({ vni, peers }) => [vni, peers]));
    this.#latest = order;
    this.#working = this.#working.then(async () => {
      if (this.#latest === order) await this.#carryOut(order);
    });
  }

  async #carryOut({ id, subnets }: PeersOrder): Promise<void> {
    try {
      for (const { vni, peers } of subnets) await this.#options.devices.setPeers(vni, peers);
      this.#inForce = id;
      this.#options.changed();
    } catch (error) {
      this.#inForce = undefined;
      this.#options.log.warn('Cannot connect a subnet to its other hosts', { reason: messageOf(error) });
    }
  }

  /** The devices of the host; machines that join a subnet reach what was told of it. */
  devices(): HostDevices {
    const { devices } = this.#options;
    return {
      ...devices,
      attachNetworks: async (machine) => {
        const nics = await devices.attachNetworks(machine);
        for (const { vni } of machine.networks) {
          const peers = this.#told.get(vni);
          if (peers !== undefined) await devices.setPeers(vni, peers);
        }
        return nics;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#working;
  }
}
