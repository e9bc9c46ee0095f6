/** The bridge of a subnet on this host. Machines of one subnet share it; nothing joins two of them. */
import { runCommand } from '../libvirt/command.ts';
import { bridgeName } from './names.ts';

/**
 * The host's only address on a subnet: link-local, the same on every bridge and host. DHCP has to come from some address, and one of the
 * subnet's own could be a guest's, or another host's. With 32 bits it makes no route. Guests never learn it but as the name of the server.
 */
export const hostAddress = '169.254.169.253';

/** Makes it if it is not there, and sets what it must have either way: an earlier try may have been killed half-way. */
export async function makeBridge(vni: number, mtu: number, netns: string | undefined): Promise<void> {
  const bridge = bridgeName(vni);
  const add = `link add ${bridge} type bridge stp_state 0 forward_delay 0`;
  const steps = [
    ...((await bridgeExists(vni, netns)) ? [] : [add]),
    // No IPv6 address by itself: the host is no neighbour of its guests. Nor does it listen to their multicast, which would make it say so by
    // IGMP to all of them; without a querier every group is flooded anyway.
    `link set ${bridge} addrgenmode none mtu ${mtu} type bridge mcast_snooping 0`,
    `addr replace ${hostAddress}/32 dev ${bridge}`,
    `link set ${bridge} up`,
  ];
  // One program for all, which ends at the first that fails: every machine that starts waits for this.
  await runCommand('ip', ['-batch', '-'], { netns, input: `${steps.join('\n')}\n` });
}

/** Nothing if it is not there. */
export async function removeBridge(vni: number, netns: string | undefined): Promise<void> {
  try {
    await runCommand('ip', ['link', 'del', bridgeName(vni)], { netns });
  } catch (error) {
    if (await bridgeExists(vni, netns)) throw error;
  }
}

/** Throws if one of these is not up, or not in its bridge. */
export async function requirePorts(
  wanted: readonly { readonly bridge: string; readonly port: string }[],
  netns: string | undefined,
): Promise<void> {
  const links = JSON.parse(await runCommand('ip', ['-json', 'link', 'show'], { netns })) as readonly {
    readonly ifname?: string;
    readonly master?: string;
    readonly flags?: readonly string[];
  }[];
  const isUp = (name: string) => links.some(({ ifname, flags }) => ifname === name && flags?.includes('UP'));
  for (const { bridge, port } of wanted) {
    const isThere = links.some(({ ifname, master }) => ifname === port && master === bridge);
    if (!isThere || !isUp(port) || !isUp(bridge)) throw new Error(`${port} is not up, or not in ${bridge}`);
  }
}

async function bridgeExists(vni: number, netns: string | undefined): Promise<boolean> {
  const links = JSON.parse(await runCommand('ip', ['-json', 'link', 'show', 'type', 'bridge'], { netns })) as readonly {
    readonly ifname?: string;
  }[];
  return links.some(({ ifname }) => ifname === bridgeName(vni));
}
