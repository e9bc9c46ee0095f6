/**
 * Which hosts carry which subnets, and what each of them is to know of the others. A host carries a subnet from the stored intent of a
 * machine's attempt there until that attempt is proven gone. Hosts are told when a heartbeat shows that they know something else, so a
 * message that is lost is sent again with the next one, and a burst of machines costs each host one message.
 */
import { createHash } from 'node:crypto';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { PeersOrder } from '#lib/api/messages.ts';
import { arrivalOf } from './migration.ts';

interface Seat {
  readonly hostname: string;
  readonly vnis: readonly number[];
}

interface Overlay {
  /** Host -> machines of the subnet there. */
  readonly machines: Map<string, number>;
  /** Grows with every change of what its hosts are to know. */
  version: number;
}

export class Overlays {
  readonly #cluster: string;
  readonly #seats = new Map<string, Seat>();
  readonly #overlays = new Map<number, Overlay>();
  /** VXLAN ids that a host carries, and of how many machines each. */
  readonly #carried = new Map<string, Map<number, number>>();
  /** Where the other hosts reach a host, as it said itself. */
  readonly #tunnels = new Map<string, string>();
  readonly #orders = new Map<string, { readonly seen: string; readonly order: PeersOrder }>();
  #versions = 0;

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** `vm` as it is now; undefined: it is gone, or no longer this cluster's. */
  machineChanged(uid: string, vm: VirtualMachine | undefined): void {
    this.#sits(uid, vm && this.#seatOf(vm, vm.status?.attempt));
    // Its guest speaks from there the moment it is taken over.
    this.#sits(arrivalOf(uid), vm && this.#seatOf(vm, vm.status?.migration));
  }

  #sits(uid: string, now: Seat | undefined): void {
    const old = this.#seats.get(uid);
    if (old?.hostname === now?.hostname && old?.vnis.join() === now?.vnis.join()) return;
    for (const vni of old?.vnis ?? []) this.#count(vni, old!.hostname, -1);
    for (const vni of now?.vnis ?? []) this.#count(vni, now!.hostname, 1);
    if (now) this.#seats.set(uid, now);
    else this.#seats.delete(uid);
  }

  /** What a heartbeat says: undefined if the host has no address for others. */
  heard(hostname: string, tunnelAddress: string | undefined): void {
    if (this.#tunnels.get(hostname) === tunnelAddress) return;
    if (tunnelAddress === undefined) this.#tunnels.delete(hostname);
    else this.#tunnels.set(hostname, tunnelAddress);
    for (const vni of this.#carried.get(hostname)?.keys() ?? []) this.#touch(vni);
  }

  /** All that a host is to know; the same id for the same content, also after a restart. Undefined: nobody reaches it. */
  orderFor(hostname: string): PeersOrder | undefined {
    if (!this.#tunnels.has(hostname)) return undefined;
    const vnis = [...(this.#carried.get(hostname)?.keys() ?? [])].sort((a, b) => a - b);
    const seen = vnis.map((vni) => `${vni}:${this.#overlays.get(vni)!.version}`).join();
    const known = this.#orders.get(hostname);
    if (known?.seen === seen) return known.order;
    const subnets = vnis.map((vni) => ({ vni, peers: this.#peers(vni, hostname) }));
    const id = createHash('sha256').update(JSON.stringify(subnets)).digest('hex').slice(0, 16);
    const order: PeersOrder = { type: 'peers', version: 1, id, subnets };
    this.#orders.set(hostname, { seen, order });
    return order;
  }

  #peers(vni: number, hostname: string): readonly string[] {
    const others = [...this.#overlays.get(vni)!.machines.keys()].filter((other) => other !== hostname);
    return others.flatMap((other) => this.#tunnels.get(other) ?? []).sort();
  }

  #seatOf(
    { status }: VirtualMachine,
    place: { readonly cluster?: string; readonly host?: string } | undefined,
  ): Seat | undefined {
    if (place?.cluster !== this.#cluster || place.host === undefined) return undefined;
    // On a network of the site hosts need not know each other.
    const vnis = new Set((status?.networks ?? []).flatMap(({ vni, segment }) => (segment ? [] : (vni ?? []))));
    return { hostname: place.host, vnis: [...vnis] };
  }

  #count(vni: number, hostname: string, change: 1 | -1): void {
    const overlay = this.#overlays.get(vni) ?? { machines: new Map<string, number>(), version: 0 };
    this.#overlays.set(vni, overlay);
    const carried = this.#carried.get(hostname) ?? new Map<number, number>();
    this.#carried.set(hostname, carried);
    const before = overlay.machines.get(hostname) ?? 0;
    put(overlay.machines, hostname, before + change);
    put(carried, vni, before + change);
    if (carried.size === 0) this.#carried.delete(hostname);
    // Another machine where there was one already is no news to other hosts.
    if (before + change === 0 || before === 0) this.#touch(vni);
    if (overlay.machines.size === 0) this.#overlays.delete(vni);
  }

  #touch(vni: number): void {
    const overlay = this.#overlays.get(vni);
    if (overlay) overlay.version = ++this.#versions;
  }
}

function put<K>(counts: Map<K, number>, key: K, count: number): void {
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
