/**
 * A subnet's way out (spec.egress: NAT): its router on each host (router.ts) has a way to the host. It hides the guests behind its own
 * address, and the host hides it behind the host's. So subnets with equal addresses go out side by side, and no route of a subnet is one
 * of the host.
 *
 *   guest ── bridge ── router ── host ── default route
 */
import { runCommand } from '../libvirt/command.ts';
import { notPublic4 } from '../not-public.ts';
import { bridgePrefix, uplinkName, uplinkPrefix } from './names.ts';
import { makeRouter, type Router, removeRouter, transitRange } from './router.ts';

export interface Egress extends Router {
  /** For messages. */
  readonly subnet: string;
  readonly index: number;
}

const table = 'computefactory_egress';
/** Two addresses for each. */
export const egressMax = 2 ** 16;

/** Makes the router, or nothing if it is there as it should be. The bridge is there. `allow`: networks (CIDR) that guests may reach although not public. */
export async function makeEgress(egress: Egress, allow: readonly string[], netns: string | undefined): Promise<void> {
  await makeRouter(egress, netns);
  await forward(egress, netns);
  await nft(hostRules(allow), netns);
}

/** Nothing if it is not there. `last`: no other subnet of this host has a way out. */
export async function removeEgress(vni: number, last: boolean, netns: string | undefined): Promise<void> {
  await removeRouter(vni, netns);
  if (last) await nft([`add table inet ${table}`, `delete table inet ${table}`], netns);
}

/** Only from the routers and from where the answers come: a host that is no router stays none between its other interfaces. */
async function forward({ vni, subnet }: Egress, netns: string | undefined): Promise<void> {
  const routes = JSON.parse(
    (await runCommand('ip', ['-json', 'route', 'show', 'default'], { netns })) || '[]',
  ) as readonly {
    readonly dev?: string;
  }[];
  const devices = routes.flatMap(({ dev }) => (dev === undefined ? [] : [dev]));
  if (devices.length === 0)
    throw new Error(`Subnet ${subnet} has egress NAT, but this host has no default route that its guests could take`);
  const settings = [uplinkName(vni), ...devices].map((device) => `net/ipv4/conf/${device}/forwarding=1`);
  await runCommand('sysctl', ['-qw', ...settings], { netns });
}

/** For all routers of the host, written anew as a whole. */
function hostRules(allow: readonly string[]): readonly string[] {
  const through = [
    ...(allow.length > 0 ? [`iifname "${uplinkPrefix}*" ip daddr { ${allow.join(', ')} } accept`] : []),
    // A site has its own things there, which trust whoever comes from within.
    `iifname "${uplinkPrefix}*" ip daddr { ${notPublic4.join(', ')} } drop`,
    `iifname "${uplinkPrefix}*" oifname "cf*" drop`,
    `oifname "${uplinkPrefix}*" ct state established,related accept`,
    `oifname "${uplinkPrefix}*" drop`,
  ];
  return [
    `add table inet ${table}`,
    `delete table inet ${table}`,
    `add table inet ${table}`,
    // Where bridges call the host's rules (br_netfilter), what guests say to each other would fill its table of connections.
    `add chain inet ${table} between-guests { type filter hook prerouting priority -300; policy accept; }`,
    `add rule inet ${table} between-guests iifname "${bridgePrefix}*" notrack`,
    `add chain inet ${table} to-host { type filter hook input priority -10; policy accept; }`,
    `add rule inet ${table} to-host iifname "${uplinkPrefix}*" ct state established,related accept`,
    `add rule inet ${table} to-host iifname "${uplinkPrefix}*" drop`,
    `add chain inet ${table} through { type filter hook forward priority -10; policy accept; }`,
    ...through.map((rule) => `add rule inet ${table} through ${rule}`),
    `add chain inet ${table} hide { type nat hook postrouting priority 100; policy accept; }`,
    `add rule inet ${table} hide ip saddr ${transitRange} oifname != "cf*" masquerade`,
  ];
}

async function nft(lines: readonly string[], netns: string | undefined): Promise<void> {
  await runCommand('nft', ['-f', '-'], { netns, input: `${lines.join('\n')}\n` });
}
