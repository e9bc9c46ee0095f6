/**
 * What a guest may send (nftables, family bridge): IPv4 and ARP with its own MAC and address, no answers of a DHCP server, and nothing
 * else. Where the site gives addresses (`outside`) nobody knows which is its own: it may use any, with its own MAC, and DHCP passes between it and the site. What cannot be held against an address it was given does not pass: VLAN tags, in which any frame could hide, IPv6, which machines
 * have no addresses of yet, and what speaks to switches (STP, LLDP, EAPOL). To the host itself nothing but DHCP, and answers to its
 * question who has an address (probe.ts). Between a bridge and other hosts go frames of guests, and that question: each host gives its own
 * guests their addresses and their way out (egress.ts), and is itself no part of the subnet. One table per host, one chain per tap, all set in one transaction.
 */
import { runCommand } from '../libvirt/command.ts';
import { gatePrefix, plugPrefix, tapPrefix, tunnelPrefix } from './names.ts';

const table = 'computefactory';
const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const ipPattern = /^\d{1,3}(\.\d{1,3}){3}$/;

export interface GuardedTap {
  readonly tap: string;
  readonly mac: string;
  /** undefined: any. */
  readonly ip: string | undefined;
}

export async function guardTap({ tap, mac, ip }: GuardedTap, netns: string | undefined): Promise<void> {
  // They come from the launch message and go into a program's input: nothing but addresses may.
  if (!macPattern.test(mac) || (ip !== undefined && !ipPattern.test(ip)))
    throw new TypeError(`Cannot guard ${tap}: ${mac} and ${ip} are no addresses`);
  await nft([...base(), ...chain(tap, mac, ip)], netns);
}

/** What holds for all bridges, whichever guests are on them. */
export async function guardBridges(netns: string | undefined): Promise<void> {
  await nft(base(), netns);
}

/** The same, and that DHCP passes at this port: the site's, of guests whose addresses the site gives. */
export async function openToDhcp(port: string, netns: string | undefined): Promise<void> {
  await nft([...base(), `add element bridge ${table} outside { "${port}" }`], netns);
}

/** Nothing if it does not pass there. */
export async function closeToDhcp(port: string, netns: string | undefined): Promise<void> {
  // Added first: what is not there cannot be deleted.
  const change = (verb: string) => `${verb} element bridge ${table} outside { "${port}" }`;
  await nft([...base(), change('add'), change('delete')], netns);
}

/** Nothing if it is not there. The last one takes the table along. */
export async function unguardTap(tap: string, netns: string | undefined): Promise<void> {
  const taps = await guardedTaps(netns);
  if (taps.every((other) => other === tap))
    return await nft([`add table bridge ${table}`, `delete table bridge ${table}`], netns);
  if (!taps.includes(tap)) return;
  const name = `bridge ${table} ${tap}`;
  await nft([`delete element bridge ${table} taps { "${tap}" }`, `flush chain ${name}`, `delete chain ${name}`], netns);
}

/** Names of the taps that have rules here. */
export async function guardedTaps(netns: string | undefined): Promise<readonly string[]> {
  const all = JSON.parse(await runCommand('nft', ['-j', 'list', 'chains', 'bridge'], { netns })) as {
    readonly nftables: readonly { readonly chain?: { readonly table: string; readonly name: string } }[];
  };
  return all.nftables.flatMap(({ chain }) =>
    chain?.table === table && chain.name.startsWith(tapPrefix) ? [chain.name] : [],
  );
}

function base(): readonly string[] {
  return [
    `add table bridge ${table}`,
    `add map bridge ${table} taps { type ifname : verdict; }`,
    `add set bridge ${table} outside { type ifname; }`,
    `add chain bridge ${table} from-guest { type filter hook prerouting priority -300; policy accept; }`,
    `flush chain bridge ${table} from-guest`,
    `add rule bridge ${table} from-guest iifname vmap @taps`,
    `add chain bridge ${table} to-host { type filter hook input priority 0; policy accept; }`,
    `flush chain bridge ${table} to-host`,
    `add rule bridge ${table} to-host iifname "${tapPrefix}*" udp dport 67 accept`,
    `add rule bridge ${table} to-host arp operation reply arp daddr ip 0.0.0.0 accept`,
    `add rule bridge ${table} to-host iifname "${tapPrefix}*" drop`,
    `add rule bridge ${table} to-host iifname "${tunnelPrefix}*" drop`,
    `add rule bridge ${table} to-host iifname "${gatePrefix}*" drop`,
    `add rule bridge ${table} to-host iifname "${plugPrefix}*" drop`,
    `add chain bridge ${table} from-host { type filter hook output priority 0; policy accept; }`,
    `flush chain bridge ${table} from-host`,
    `add rule bridge ${table} from-host arp operation request arp saddr ip 0.0.0.0 accept`,
    `add rule bridge ${table} from-host oifname "${tunnelPrefix}*" drop`,
    `add rule bridge ${table} from-host oifname "${plugPrefix}*" drop`,
    `add chain bridge ${table} between { type filter hook forward priority 0; policy accept; }`,
    `flush chain bridge ${table} between`,
    `add rule bridge ${table} between iifname "${gatePrefix}*" oifname "${tunnelPrefix}*" drop`,
    `add rule bridge ${table} between iifname "${tunnelPrefix}*" oifname "${gatePrefix}*" drop`,
    `add rule bridge ${table} between oifname "${tunnelPrefix}*" oifname != @outside udp dport 67 drop`,
    `add rule bridge ${table} between iifname "${tunnelPrefix}*" udp dport 67 drop`,
    `add rule bridge ${table} between iifname "${tunnelPrefix}*" iifname != @outside udp dport 68 drop`,
    `add rule bridge ${table} between iifname "${tunnelPrefix}*" ether type != { ip, arp } drop`,
  ];
}

function chain(tap: string, mac: string, ip: string | undefined): readonly string[] {
  const rules = [
    `ether saddr != ${mac} drop`,
    // Of a tagged frame this is the type of its tag, which the kernel keeps beside the frame: below it would look like what it carries.
    'ether type != { ip, arp } drop',
    ...(ip === undefined ? ofAnyAddress(mac) : ofAddress(mac, ip)),
    'drop',
  ];
  return [
    `add chain bridge ${table} ${tap}`,
    `flush chain bridge ${table} ${tap}`,
    ...rules.map((rule) => `add rule bridge ${table} ${tap} ${rule}`),
    `add element bridge ${table} taps { "${tap}" : goto ${tap} }`,
  ];
}

/** Nor from another port than a server's: there are clients that look at their own port alone. */
const noServer = ['udp sport 67 drop', 'udp dport 68 drop'];

/** 0.0.0.0 asks whether an address is taken, and asks DHCP. */
function ofAddress(mac: string, ip: string): readonly string[] {
  return [
    `arp saddr ether ${mac} arp saddr ip { ${ip}, 0.0.0.0 } accept`,
    'ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept',
    ...noServer,
    `ip saddr ${ip} accept`,
  ];
}

/** The MAC in a frame and the one that its ARP speaks of are still its own: it can hide from nobody which guest it is. */
function ofAnyAddress(mac: string): readonly string[] {
  return [`arp htype 1 arp hlen 6 arp plen 4 arp saddr ether ${mac} accept`, ...noServer, 'ether type ip accept'];
}

async function nft(lines: readonly string[], netns: string | undefined): Promise<void> {
  await runCommand('nft', ['-f', '-'], { netns, input: `${lines.join('\n')}\n` });
}
