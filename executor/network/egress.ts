/**
 * A subnet's way out (spec.egress: NAT): a router of its own on each host, in a network namespace, with the subnet's gateway as its address.
 * It hides the guests behind its own address, and the host hides it behind the host's. So subnets with equal addresses go out side by side,
 * and no route of a subnet is one of the host. The router is reached by the guests of its host alone: to other hosts no frame of it goes,
 * which have their own with the same address.
 *
 *   guest ── bridge ── cfg<vni>│in  router  out│cfu<vni> ── host ── default route
 */
import { runCommand } from '../libvirt/command.ts';
import { notPublic4 } from '../not-public.ts';
import { bridgeName, bridgePrefix, gateName, uplinkName, uplinkPrefix } from './names.ts';

export interface Egress {
  readonly vni: number;
  /** For messages. */
  readonly subnet: string;
  readonly gateway: string;
  readonly prefix: number;
  readonly mtu: number;
  /** Of the subnet on this host, from 0: what the addresses between router and host follow from. */
  readonly index: number;
}

const table = 'computefactory_egress';
/** Between routers and host. RFC 2544 gives it to laboratories: nobody is there whom a guest could want to reach. */
const transit = { range: '198.18.0.0/15', first: 0xc612_0000 };
/** Of one subnet on one host: the host's table, where its own are too, has room for some times as many. */
const connectionsMax = 16_384;
/** Two addresses for each. */
export const egressMax = 2 ** 16;
/** Makes the router, or nothing if it is there as it should be. The bridge is there. `allow`: networks (CIDR) that guests may reach although not public. */
export async function makeEgress(egress: Egress, allow: readonly string[], netns: string | undefined): Promise<void> {
  const { vni } = egress;
  const router = routerName(vni, netns);
  if ((await stateOf(router)) !== wantedState(egress)) {
    await removeRouter(vni, netns);
    await makeRouter(egress, router, netns);
  }
  await forward(egress, netns);
  await nft(hostRules(allow), netns);
}

/** Nothing if it is not there. `last`: no other subnet of this host has a way out. */
export async function removeEgress(vni: number, last: boolean, netns: string | undefined): Promise<void> {
  await removeRouter(vni, netns);
  if (last) await nft([`add table inet ${table}`, `delete table inet ${table}`], netns);
}

/** Names of namespaces are the computer's, which may pretend to be several hosts. */
export function routerName(vni: number, netns = 'cf'): string {
  return `${netns}-r${vni.toString(16)}`;
}

/** Written on both links of the router when all else is done: who deletes an end of one deletes it. */
function wantedState({ gateway, prefix, mtu, index }: Egress): string {
  return `${gateway}/${prefix} mtu ${mtu} index ${index}`;
}

async function stateOf(router: string): Promise<string | undefined> {
  if (!(await exists(router))) return undefined;
  const links = JSON.parse(await runCommand('ip', ['-n', router, '-json', 'link', 'show'])) as readonly {
    readonly ifname?: string;
    readonly ifalias?: string;
  }[];
  const aliasOf = (name: string) => links.find(({ ifname }) => ifname === name)?.ifalias;
  return aliasOf('in') === aliasOf('out') ? aliasOf('out') : undefined;
}

async function exists(router: string): Promise<boolean> {
  const all = JSON.parse((await runCommand('ip', ['-json', 'netns', 'list'])) || '[]') as readonly { name: string }[];
  return all.some(({ name }) => name === router);
}

async function makeRouter(egress: Egress, router: string, netns: string | undefined): Promise<void> {
  const { vni, gateway, prefix, mtu, index } = egress;
  const [ours, theirs] = [transitAddress(2 * index), transitAddress(2 * index + 1)];
  const [gate, uplink] = [gateName(vni), uplinkName(vni)];
  await runCommand('ip', ['netns', 'add', router]);
  await inRouter(router, 'sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv4.ip_forward=1']);
  await inRouter(router, 'nft', ['-f', '-'], routerRules());
  // The ends in the host first, with their others made right into the router: a kill in between leaves what `removeRouter` finds.
  await batch(netns === undefined ? [] : ['-n', netns], [
    `link add ${gate} mtu ${mtu} type veth peer name in mtu ${mtu} netns ${router}`,
    `link add ${uplink} type veth peer name out netns ${router}`,
    `link set ${gate} addrgenmode none master ${bridgeName(vni)} up`,
    `link set ${uplink} addrgenmode none up`,
    `addr add ${ours}/31 dev ${uplink}`,
  ]);
  await batch(
    ['-n', router],
    [
      `link set in address ${gatewayMac(vni)} up`,
      `addr add ${gateway}/${prefix} dev in`,
      'link set out up',
      `addr add ${theirs}/31 dev out`,
      `route add default via ${ours}`,
    ],
  );
  const done = wantedState(egress);
  for (const link of ['in', 'out']) await runCommand('ip', ['-n', router, 'link', 'set', link, 'alias', done]);
}

async function removeRouter(vni: number, netns: string | undefined): Promise<void> {
  const router = routerName(vni, netns);
  const links = JSON.parse(await runCommand('ip', ['-json', 'link', 'show', 'type', 'veth'], { netns })) as readonly {
    readonly ifname?: string;
  }[];
  for (const name of [gateName(vni), uplinkName(vni)])
    if (links.some(({ ifname }) => ifname === name)) await runCommand('ip', ['link', 'del', name], { netns });
  if (await exists(router)) await runCommand('ip', ['netns', 'del', router]);
}

/** The same on every host: a guest that moves finds it again. */
function gatewayMac(vni: number): string {
  const bytes = vni.toString(16).padStart(6, '0').match(/../g)!;
  return ['0e:cf:00', ...bytes].join(':');
}

function transitAddress(offset: number): string {
  const value = transit.first + offset;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
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

function routerRules(): readonly string[] {
  return [
    `add table ip ${table}`,
    `add chain ip ${table} to-router { type filter hook input priority 0; policy drop; }`,
    `add rule ip ${table} to-router ct state established,related accept`,
    `add rule ip ${table} to-router iifname "in" icmp type echo-request accept`,
    `add chain ip ${table} through { type filter hook forward priority 0; policy drop; }`,
    `add rule ip ${table} through tcp flags syn tcp option maxseg size set rt mtu`,
    `add rule ip ${table} through iifname "in" ct state new ct count over ${connectionsMax} drop`,
    `add rule ip ${table} through iifname "in" oifname "out" accept`,
    `add rule ip ${table} through ct state established,related accept`,
    `add chain ip ${table} hide { type nat hook postrouting priority 100; policy accept; }`,
    `add rule ip ${table} hide oifname "out" masquerade`,
  ];
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
    `add rule inet ${table} hide ip saddr ${transit.range} oifname != "cf*" masquerade`,
  ];
}

async function inRouter(router: string, program: string, args: readonly string[], lines: readonly string[] = []) {
  await runCommand(program, args, { netns: router, input: lines.map((line) => `${line}\n`).join('') });
}

async function batch(where: readonly string[], lines: readonly string[]): Promise<void> {
  await runCommand('ip', [...where, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

async function nft(lines: readonly string[], netns: string | undefined): Promise<void> {
  await runCommand('nft', ['-f', '-'], { netns, input: `${lines.join('\n')}\n` });
}
