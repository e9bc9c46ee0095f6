/**
 * A subnet's way into a network of the site: a port in its bridge that leads to a bridge which the host has, or to a VLAN on one of its
 * interfaces. To the subnet it is what the tunnel is to an overlay, and has a tunnel's name: the same rules hold for it (guard.ts). What
 * is the site's is never made, changed or removed here; a bridge of the site gets a port of ours, and nothing else.
 *
 *   guest ── bridge ── cfx<vni>│cfp<vni> ── bridge of the site          guest ── bridge ── cfx<vni>, a VLAN of the interface
 */
import type { NetworkSegment } from '#lib/api/launch.ts';
import { messageOf } from '#lib/std/errors.ts';
import { runCommand } from '../libvirt/command.ts';
import { bridgeName, plugName, tunnelName } from './names.ts';

export interface SegmentPort {
  readonly vni: number;
  /** For messages. */
  readonly subnet: string;
  readonly mtu: number;
  readonly segment: NetworkSegment;
}

/** What the operator of the host lets guests onto. */
export interface AllowedSegments {
  readonly bridges: readonly string[];
  readonly nics: readonly string[];
}

interface Link {
  readonly ifname?: string;
  readonly mtu?: number;
  readonly master?: string;
  readonly link?: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly id?: number } };
}

/** Makes the port, or what is missing of it. The subnet's bridge is there. Throws Error if the host cannot, or is not to. */
export async function makeSegmentPort(
  port: SegmentPort,
  allowed: AllowedSegments,
  netns: string | undefined,
): Promise<void> {
  const { vni, mtu, segment } = port;
  const before = await links(netns);
  requireSegment(port, allowed, before);
  const name = tunnelName(vni);
  if (!isAsWanted(port, before)) {
    if (before.has(name)) await runCommand('ip', ['link', 'del', name], { netns });
    if ('bridge' in segment)
      await batch(netns, [
        `link add ${name} mtu ${mtu} type veth peer name ${plugName(vni)} address ${plugMac(vni)} mtu ${mtu}`,
        `link set ${plugName(vni)} addrgenmode none master ${segment.bridge} up`,
      ]);
    else await addVlan(port, segment, netns);
  }
  await batch(netns, [`link set ${name} addrgenmode none mtu ${mtu} master ${bridgeName(vni)} up`]);
}

/** High: a bridge may have the lowest address of its ports for its own, and the site's is to keep what it has. */
function plugMac(vni: number): string {
  return ['fe:cf:00', ...vni.toString(16).padStart(6, '0').match(/../g)!].join(':');
}

/** Nothing if it is not there. Its other end goes with it. */
export async function removeSegmentPort(vni: number, netns: string | undefined): Promise<void> {
  const name = tunnelName(vni);
  if ((await links(netns)).has(name)) await runCommand('ip', ['link', 'del', name], { netns });
}

/** Throws Error with the host's part in it, and what to do. */
function requireSegment(
  { subnet, mtu, segment }: SegmentPort,
  allowed: AllowedSegments,
  there: ReadonlyMap<string, Link>,
): void {
  const [what, name, list] =
    'bridge' in segment
      ? (['bridge', segment.bridge, 'bridges'] as const)
      : (['interface', segment.nic, 'nics'] as const);
  const wanted = `Subnet ${subnet} is on ${what} ${name}`;
  if (!allowed[list].includes(name))
    throw new Error(
      `${wanted}, onto which this host lets no guests: name it in segments.${list} of the executor's configuration, or place the machine elsewhere`,
    );
  const link = there.get(name);
  if (!link)
    throw new Error(`${wanted}, which this host does not have: make it, or place the machine where there is one`);
  if ('bridge' in segment && link.linkinfo?.info_kind !== 'bridge')
    throw new Error(`${wanted}, but on this host ${name} is no bridge: correct the Subnet's segment`);
  if ((link.mtu ?? 0) < mtu)
    throw new Error(
      `${wanted} and has an mtu of ${mtu}, but ${name} of this host has ${link.mtu}: make the Subnet's mtu as small`,
    );
}

function isAsWanted({ vni, segment }: SegmentPort, there: ReadonlyMap<string, Link>): boolean {
  const port = there.get(tunnelName(vni));
  if (!port) return false;
  if ('bridge' in segment)
    return port.linkinfo?.info_kind === 'veth' && there.get(plugName(vni))?.master === segment.bridge;
  return (
    port.linkinfo?.info_kind === 'vlan' && port.link === segment.nic && port.linkinfo.info_data?.id === segment.vlan
  );
}

async function addVlan(
  { vni, subnet }: SegmentPort,
  { nic, vlan }: { readonly nic: string; readonly vlan: number },
  netns: string | undefined,
): Promise<void> {
  try {
    await batch(netns, [`link add link ${nic} name ${tunnelName(vni)} type vlan id ${vlan}`]);
  } catch (error) {
    const said = messageOf(error);
    const wanted = `Subnet ${subnet} is on VLAN ${vlan} of interface ${nic}`;
    if (/File exists/.test(said))
      throw new Error(`${wanted}, which this host has for something else: remove it there, or choose another VLAN`, {
        cause: error,
      });
    if (/Unknown device type|not supported/.test(said))
      throw new Error(
        `${wanted}, but this host's kernel knows no VLANs: load the module 8021q, or place the machine elsewhere`,
        { cause: error },
      );
    throw error;
  }
}

async function links(netns: string | undefined): Promise<ReadonlyMap<string, Link>> {
  const all = JSON.parse(await runCommand('ip', ['-json', '-details', 'link', 'show'], { netns })) as readonly Link[];
  return new Map(all.flatMap((link) => (link.ifname === undefined ? [] : [[link.ifname, link]])));
}

async function batch(netns: string | undefined, lines: readonly string[]): Promise<void> {
  await runCommand('ip', ['-batch', '-'], { netns, input: `${lines.join('\n')}\n` });
}
