/**
 * Who may reach our subnets from outside (nftables, family inet): VXLAN has no authentication, so a frame with the number of a subnet is
 * heard only from the hosts that carry it. One table per host, written anew as a whole, in one transaction.
 */
import { runCommand } from '../libvirt/command.ts';
import { tunnelPort } from './tunnel.ts';

const table = 'computefactory_tunnels';

export interface Allowed {
  readonly vni: number;
  readonly peers: readonly string[];
}

/** None: the table goes too. */
export async function guardTunnels(subnets: readonly Allowed[], netns: string | undefined): Promise<void> {
  const lines = [`add table inet ${table}`, `delete table inet ${table}`];
  if (subnets.length > 0) {
    lines.push(
      `add table inet ${table}`,
      `add chain inet ${table} from-hosts { type filter hook input priority -10; policy accept; }`,
      ...subnets.map(({ vni, peers }) => rule(vni, peers)),
    );
  }
  await runCommand('nft', ['-f', '-'], { netns, input: `${lines.join('\n')}\n` });
}

/** The subnet's number lies behind the UDP header (8 bytes) and flags (4 bytes). */
function rule(vni: number, peers: readonly string[]): string {
  const others = peers.length === 0 ? '' : `ip saddr != { ${peers.join(', ')} } `;
  return `add rule inet ${table} from-hosts udp dport ${tunnelPort} @th,96,24 ${vni} ${others}drop`;
}
