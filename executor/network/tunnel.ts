/**
 * A subnet's way to the other hosts that carry it: one VXLAN port in its bridge. Frames for everybody, and for guests not heard of yet, go to
 * each peer by a list that the cluster server tells; where a guest lives is learned from what it sends, so that one that moves is found
 * again without anybody being told.
 */
import { runCommand } from '../libvirt/command.ts';
import { bridgeName, tunnelName, tunnelPrefix } from './names.ts';

/** RFC 7348. Kernels have another default of old. */
export const tunnelPort = 4789;
/** Outer IPv4, UDP and VXLAN headers, and the guest's own Ethernet header. */
const headerBytes = 50;
const everybody = '00:00:00:00:00:00';

export interface Tunnel {
  readonly vni: number;
  /** For messages. */
  readonly subnet: string;
  readonly mtu: number;
  /** Where other hosts reach this one. */
  readonly local: string;
  /** IPv4 addresses of the others. */
  readonly peers: readonly string[];
}

/** Makes the port, or what is missing of it, and its list. The bridge is there. Throws Error if the network between hosts is too narrow. */
export async function makeTunnel(tunnel: Tunnel, netns: string | undefined): Promise<void> {
  const { vni, mtu, local } = tunnel;
  const port = tunnelName(vni);
  await requireRoom(tunnel, netns);
  const ip = (...args: string[]) => runCommand('ip', args, { netns });
  const from = (await tunnels(netns)).get(port);
  // The address of a port cannot be changed: a host that got another one makes it anew.
  if (from !== undefined && from !== local) await ip('link', 'del', port);
  if (from !== local)
    await ip(...['link', 'add', port, 'type', 'vxlan', 'id', `${vni}`, 'local', local, 'dstport', `${tunnelPort}`]);
  await ip('link', 'set', port, 'master', bridgeName(vni), 'addrgenmode', 'none', 'mtu', String(mtu));
  await setPeers(tunnel, netns);
  await ip('link', 'set', port, 'up');
}

/** Of all subnets. */
export async function removeTunnels(netns: string | undefined): Promise<void> {
  for (const port of (await tunnels(netns)).keys())
    if (port.startsWith(tunnelPrefix)) await runCommand('ip', ['link', 'del', port], { netns });
}

export async function removeTunnel(vni: number, netns: string | undefined): Promise<void> {
  const port = tunnelName(vni);
  if ((await tunnels(netns)).has(port)) await runCommand('ip', ['link', 'del', port], { netns });
}

async function setPeers({ vni, local, peers }: Tunnel, netns: string | undefined): Promise<void> {
  const port = tunnelName(vni);
  const bridge = (...args: string[]) => runCommand('bridge', ['fdb', ...args], { netns });
  const wanted = new Set(peers.filter((peer) => peer !== local));
  const all = JSON.parse(await runCommand('bridge', ['-json', 'fdb', 'show', 'dev', port], { netns })) as readonly {
    readonly mac: string;
    readonly dst?: string;
  }[];
  const entries = all.flatMap(({ mac, dst }) => (dst === undefined ? [] : [{ mac, dst }]));
  const present = new Set(entries.filter(({ mac }) => mac === everybody).map(({ dst }) => dst));
  for (const peer of present.difference(wanted)) await bridge('del', everybody, 'dev', port, 'dst', peer);
  for (const peer of wanted.difference(present)) await bridge('append', everybody, 'dev', port, 'dst', peer);
  // A guest that was learned behind a host that has left is not there any more. What has expired meanwhile cannot be deleted.
  for (const { mac, dst } of entries)
    if (mac !== everybody && !wanted.has(dst)) await bridge('del', mac, 'dev', port, 'dst', dst).catch(() => undefined);
}

/** Guests would lose their large packets in silence. */
async function requireRoom({ subnet, mtu, local }: Tunnel, netns: string | undefined): Promise<void> {
  const all = JSON.parse(await runCommand('ip', ['-json', 'addr', 'show'], { netns })) as readonly {
    readonly ifname?: string;
    readonly mtu?: number;
    readonly addr_info?: readonly { readonly local?: string }[];
  }[];
  const link = all.find(({ addr_info }) => addr_info?.some((address) => address.local === local));
  if (!link)
    throw new Error(
      `No interface of this host has the address ${local}: correct tunnelAddress in the executor's configuration`,
    );
  if ((link.mtu ?? 0) >= mtu + headerBytes) return;
  throw new Error(
    `Subnet ${subnet} has an mtu of ${mtu}, which needs ${mtu + headerBytes} between hosts, but ${link.ifname} with ${local} has ${link.mtu}: ` +
      `set the Subnet's mtu to ${(link.mtu ?? 0) - headerBytes} or less, or the interface's to ${mtu + headerBytes}`,
  );
}

/** The ports that there are, and the address that each sends from. */
async function tunnels(netns: string | undefined): Promise<ReadonlyMap<string, string | undefined>> {
  const shown = await runCommand('ip', ['-json', '-details', 'link', 'show', 'type', 'vxlan'], { netns });
  const links = JSON.parse(shown) as readonly {
    readonly ifname?: string;
    readonly linkinfo?: { readonly info_data?: { readonly local?: string } };
  }[];
  return new Map(links.flatMap(({ ifname, linkinfo }) => (ifname ? [[ifname, linkinfo?.info_data?.local]] : [])));
}
