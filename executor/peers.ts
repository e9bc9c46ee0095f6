/**
 * What the cluster server tells of the other hosts that carry our subnets. In memory: a new worker names no order in its heartbeats, and is
 * told again. A machine may join a subnet after the order that tells of it, so each joining brings its subnets up to date.
 */
import type { PeersOrder } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { HostDevices } from './hypervisor.ts';

export interface PeersOptions {
  readonly devices: HostDevices;
  /** Other hosts can reach this one: it will be told of them. */
  readonly reachable: boolean;
  readonly clock: Clock;
  /** Another order is in force: heartbeats name it. */
  readonly changed: () => void;
  readonly log: Log;
}

/** The heartbeat that tells of a new machine is answered at once. Longer waits only who has lost the cluster server. */
const toldMs = 2000;

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
    const { devices, changed, log } = this.#options;
    let failures = 0;
    for (const { vni, peers } of subnets) {
      try {
        await devices.setPeers(vni, peers);
      } catch (error) {
        // Others' subnets are not held up by it.
        failures += 1;
        log.warn('Cannot connect a subnet to its other hosts', { vni, reason: messageOf(error) });
      }
    }
    this.#inForce = failures === 0 ? id : undefined;
    if (failures === 0) changed();
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
      requireFree: async (machine) => await devices.requireFree(machine, async (vni) => await this.#toldOf(vni)),
    };
  }

  /** Until the other hosts of a subnet are connected; without word of them not for long. */
  async #toldOf(vni: number): Promise<void> {
    const { reachable, clock } = this.#options;
    const deadline = clock.monotonic() + toldMs;
    while (reachable && !this.#told.has(vni) && clock.monotonic() < deadline) await clock.sleep(50);
    await this.#working;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#working;
  }
}
