/** Puts machines on their subnets and takes them off. Every step is safe to repeat, in any order, after a kill anywhere between two. */

import type { MachineNetwork } from '#lib/api/launch.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { DomainSpec, MachineNics } from '../hypervisor.ts';
import { makeBridge, removeBridge, requirePorts } from './bridge.ts';
import { type DhcpServer, serveDhcp, stopDhcp } from './dhcp.ts';
import { egressMax, makeEgress, removeEgress } from './egress.ts';
import { closeToDhcp, guardBridges, guardTap, openToDhcp, unguardTap } from './guard.ts';
import { bridgeName, tapName, tunnelName } from './names.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { requireNobodyAt } from './probe.ts';
import { isWhole, makeRouter, type Router, removeRouter } from './router.ts';
import { requirePeers, requireSafe } from './safe.ts';
import { type AllowedSegments, makeSegmentPort, removeSegmentPort } from './segment.ts';
import { type Attachment, SubnetFiles } from './subnet-files.ts';
import { makeTunnel, removeTunnel, removeTunnels } from './tunnel.ts';
import { guardTunnels } from './tunnel-guard.ts';

export interface NetworkOptions {
  /** State is kept in `<root>/network/`. */
  readonly root: string;
  readonly netns: string | undefined;
  /** IPv4 address at which other hosts reach this one. Without it subnets stay here. */
  readonly tunnelAddress?: string | undefined;
  /** Networks (CIDR) that guests with egress may reach although they are not the Internet's. */
  readonly allowPrivateEgress?: readonly string[];
  /** Networks of the site that guests may be put on; none unless given. */
  readonly segments?: AllowedSegments | undefined;
  readonly clock: Clock;
}

/** Its probes come from the gateway's address, which on a network of the site is the site's. */
const hasRouter = ({ tried, gateway, segment }: MachineNetwork) => tried === true && gateway !== '' && !segment;

export interface Networks {
  attach(machine: MachineNics): Promise<DomainSpec['nics']>;
  /** As HostDevices has it. */
  requireFree(machine: MachineNics, connected?: (vni: number) => Promise<void>): Promise<void>;
  detach(uid: string): Promise<void>;
  /** As HostDevices has it. */
  requireWhole(machine: MachineNics): Promise<void>;
  /** Of the other hosts that carry the subnet. Nothing if no machine of it is here. Throws TypeError if they cannot be such. */
  setPeers(vni: number, peers: readonly string[]): Promise<void>;
  owners(): readonly string[];
}

export function hostNetworks(options: NetworkOptions): Networks {
  const { root, netns, tunnelAddress, allowPrivateEgress = [], segments = { bridges: [], nics: [] }, clock } = options;
  const files = new SubnetFiles(root);
  // Who is last on a subnet is decided by looking: two that leave at once must not both find the other still there.
  const inTurn = oneAtATime();
  const dhcp = (vni: number): DhcpServer => ({ vni, directory: files.directory(vni), netns, clock });

  async function join(uid: string, hostname: string, network: MachineNetwork): Promise<DomainSpec['nics'][number]> {
    const { vni, mac, mtu } = network;
    const tap = tapName(uid, vni);
    requireSafe(hostname, network);
    files.put({ uid, hostname, network });
    await makeBridge(vni, mtu, netns);
    await guardTap({ tap, mac, ip: network.external ? undefined : network.ip }, netns);
    await connect(network);
    if (network.egress === 'NAT') await letOut(network);
    else if (hasRouter(network)) await letIn(network);
    await serve(vni, files.attachments(vni));
    return { tap, bridge: bridgeName(vni), mac, mtu };
  }

  /** A guest whose address the site gives hears of no other. */
  async function serve(vni: number, attachments: readonly Attachment[]): Promise<void> {
    await serveDhcp(
      dhcp(vni),
      attachments.filter(({ network }) => !network.external),
    );
  }

  async function letOut({ vni, subnet, gateway, prefix, mtu }: MachineNetwork): Promise<void> {
    const index = files.egressIndex(vni);
    if (index >= egressMax)
      throw new Error(`Cannot give subnet ${subnet} a way out: this host has ${egressMax} already`);
    await makeEgress({ vni, subnet, gateway, prefix, mtu, index }, allowPrivateEgress, netns);
  }

  /** Probes. A subnet that lets guests out has a router, which does for both. */
  async function letIn(network: MachineNetwork): Promise<void> {
    if (files.hasEgress(network.vni)) return await letOut(network);
    files.putRouter(network.vni);
    await makeRouter(routerOf(network), netns);
  }

  function routerOf({ vni, gateway, prefix, mtu }: MachineNetwork): Router {
    const router = { vni, gateway, prefix, mtu };
    return files.hasEgress(vni) ? { ...router, index: files.egressIndex(vni) } : router;
  }

  /** Not in turn: nobody is to wait for it, and the subnet stays while the machine is on it. */
  async function probe(network: MachineNetwork, connected: (vni: number) => Promise<void>): Promise<void> {
    if (!network.probe) return;
    // On a network of the site there are no other hosts to be told of.
    if (!network.segment) await connected(network.vni);
    await requireNobodyAt(network, netns, clock);
  }

  /**
   * Who may come in first, then the way. The host may have booted, or been given its address, since the last machine joined: what the way
   * stands on is made too.
   */
  async function connect({ vni, subnet, mtu, segment, external }: MachineNetwork): Promise<void> {
    if (segment) {
      await (external ? openToDhcp(tunnelName(vni), netns) : guardBridges(netns));
      return await makeSegmentPort({ vni, subnet, mtu, segment }, segments, netns);
    }
    if (tunnelAddress === undefined) return await disconnect(vni);
    await makeBridge(vni, mtu, netns);
    await guardBridges(netns);
    await guardAll(files.subnets());
    await makeTunnel({ vni, subnet, mtu, local: tunnelAddress, peers: files.peers(vni) }, netns);
  }

  async function disconnect(vni: number): Promise<void> {
    if (isOfSite(vni)) return await leaveSite(vni);
    if (tunnelAddress === undefined) return await disconnectAll();
    await removeTunnel(vni, netns);
    await guardAll(files.subnets().filter((other) => other !== vni));
  }

  async function leaveSite(vni: number): Promise<void> {
    await removeSegmentPort(vni, netns);
    if (files.attachments(vni).some(({ network }) => network.external)) await closeToDhcp(tunnelName(vni), netns);
  }

  let disconnected = false;

  /** A host that has no such address any more: what is left of before goes once, and nothing makes another one. */
  async function disconnectAll(): Promise<void> {
    if (disconnected) return;
    await removeTunnels(netns);
    await guardAll([]);
    disconnected = true;
  }

  const isOfSite = (vni: number) => files.attachments(vni).some(({ network }) => network.segment);

  async function guardAll(vnis: readonly number[]): Promise<void> {
    const overlays = vnis.filter((vni) => !isOfSite(vni));
    const subnets = overlays.map((vni) => ({ vni, peers: files.peers(vni) }));
    await guardTunnels(subnets, netns);
  }

  async function leave(uid: string, vni: number): Promise<void> {
    const others = files.attachments(vni).filter((attachment) => attachment.uid !== uid);
    // The rules of the taps hold for the tunnel too: it goes before the last of them.
    if (others.length === 0) await disconnect(vni);
    await unguardTap(tapName(uid, vni), netns);
    if (others.length > 0) await serve(vni, others);
    else {
      await stopDhcp(dhcp(vni));
      if (files.hasEgress(vni)) await removeEgress(vni, !files.othersWithEgress(vni), netns);
      else if (files.hasRouter(vni)) await removeRouter(vni, netns);
      await removeBridge(vni, netns);
    }
    files.remove(vni, uid);
    if (others.length === 0) files.removeSubnet(vni);
  }

  return {
    attach: (machine) =>
      inTurn(async () => {
        const nics: DomainSpec['nics'][number][] = [];
        for (const network of machine.networks) nics.push(await join(machine.uid, machine.hostname, network));
        return nics;
      }),
    requireFree: async (machine, connected = async () => undefined) => {
      await Promise.all(machine.networks.map(async (network) => await probe(network, connected)));
    },
    detach: (uid) =>
      inTurn(async () => {
        for (const vni of files.subnets()) {
          const attachments = files.attachments(vni);
          // Nobody: left behind by a kill after the last one left.
          if (attachments.length === 0) files.removeSubnet(vni);
          if (attachments.some((attachment) => attachment.uid === uid)) await leave(uid, vni);
        }
      }),
    async requireWhole({ uid, networks }) {
      if (networks.length === 0) return;
      await requirePorts(
        networks.map(({ vni }) => ({ bridge: bridgeName(vni), port: tapName(uid, vni) })),
        netns,
      );
      for (const network of networks)
        if (hasRouter(network) && !(await isWhole(routerOf(network), netns)))
          throw new Error(`The router of subnet ${network.subnet} is not as it should be`);
    },
    setPeers: (vni, peers) =>
      inTurn(async () => {
        const [first] = files.attachments(vni);
        if (!first || first.network.segment) return;
        requirePeers(first.network.subnet, peers);
        files.putPeers(vni, peers);
        await connect(first.network);
      }),
    owners: () => files.owners(),
  };
}
