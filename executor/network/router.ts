/**
 * The router of a subnet on this host: a network namespace with the gateway's address and a port in the bridge, which frames of the tunnel do
 * not get to. Guests reach the router of their own host alone: to other hosts no frame of it goes, which have their own with the same
 * address. It has a way to the host where the subnet has a way out (egress.ts); without one it is there for probes (reach.ts): it takes
 * nothing but answers to them, and tells who wants to go further at once that there is no way.
 *
 *   guest ── bridge ── cfg<vni>│in  router  out│cfu<vni> ── host
 */
import { runCommand } from '../libvirt/command.ts';
import { bridgeName, gateName, uplinkName } from './names.ts';

export interface Router {
  readonly vni: number;
  readonly gateway: string;
  readonly prefix: number;
  readonly mtu: number;
  /** Of the subnets of this host with a way out, from 0: what the addresses between router and host follow from. */
  readonly index?: number;
}

const table = 'computefactory_egress';
/** Between routers and host. RFC 2544 gives it to laboratories: nobody is there whom a guest could want to reach. */
export const transitRange = '198.18.0.0/15';
const transitFirst = 0xc612_0000;
/** Of one subnet on one host: the host's table, where its own are too, has room for some times as many. */
const connectionsMax = 16_384;

/** Nothing if it is there as it should be. The bridge is there. */
export async function makeRouter(router: Router, netns: string | undefined): Promise<void> {
  if (await isWhole(router, netns)) return;
  await removeRouter(router.vni, netns);
  await build(router, netns);
}

/** Nothing if it is not there. */
export async function removeRouter(vni: number, netns: string | undefined): Promise<void> {
  const router = routerName(vni, netns);
  const links = JSON.parse(await runCommand('ip', ['-json', 'link', 'show', 'type', 'veth'], { netns })) as readonly {
    readonly ifname?: string;
  }[];
  for (const name of [gateName(vni), uplinkName(vni)])
    if (links.some(({ ifname }) => ifname === name)) await runCommand('ip', ['link', 'del', name], { netns });
  if (await exists(router)) await runCommand('ip', ['netns', 'del', router]);
}

/** Names of namespaces are the computer's, which may pretend to be several hosts. */
export function routerName(vni: number, netns = 'cf'): string {
  return `${netns}-r${vni.toString(16)}`;
}

export async function isWhole(router: Router, netns: string | undefined): Promise<boolean> {
  const name = routerName(router.vni, netns);
  if (!(await exists(name))) return false;
  const links = JSON.parse(await runCommand('ip', ['-n', name, '-json', 'link', 'show'])) as readonly {
    readonly ifname?: string;
    readonly ifalias?: string;
  }[];
  const wanted = wantedState(router);
  return endsOf(router).every((end) => links.some(({ ifname, ifalias }) => ifname === end && ifalias === wanted));
}

/** Written on all links of the router when all else is done: who deletes an end of one deletes it. */
function wantedState({ gateway, prefix, mtu, index }: Router): string {
  return `${gateway}/${prefix} mtu ${mtu}${index === undefined ? '' : ` index ${index}`}`;
}

function endsOf({ index }: Router): readonly string[] {
  return index === undefined ? ['in'] : ['in', 'out'];
}

async function exists(router: string): Promise<boolean> {
  const all = JSON.parse((await runCommand('ip', ['-json', 'netns', 'list'])) || '[]') as readonly { name: string }[];
  return all.some(({ name }) => name === router);
}

async function build(router: Router, netns: string | undefined): Promise<void> {
  const { vni, gateway, prefix, mtu, index } = router;
  const name = routerName(vni, netns);
  const [gate, uplink] = [gateName(vni), uplinkName(vni)];
  await runCommand('ip', ['netns', 'add', name]);
  const settings = ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv4.ip_forward=1'];
  await runCommand('sysctl', ['-qw', ...settings], { netns: name });
  await runCommand('nft', ['-f', '-'], {
    netns: name,
    input: rules(router)
      .map((line) => `${line}\n`)
      .join(''),
  });
  const [ours, theirs] = index === undefined ? [] : [transitAddress(2 * index), transitAddress(2 * index + 1)];
  // The ends in the host first, with their others made right into the router: a kill in between leaves what `removeRouter` finds.
  await batch(netns === undefined ? [] : ['-n', netns], [
    `link add ${gate} mtu ${mtu} type veth peer name in mtu ${mtu} netns ${name}`,
    ...(ours ? [`link add ${uplink} type veth peer name out netns ${name}`] : []),
    `link set ${gate} addrgenmode none master ${bridgeName(vni)} up`,
    ...(ours ? [`link set ${uplink} addrgenmode none up`, `addr add ${ours}/31 dev ${uplink}`] : []),
  ]);
  await batch(
    ['-n', name],
    [
      `link set in address ${gatewayMac(vni)} up`,
      `addr add ${gateway}/${prefix} dev in`,
      ...(theirs ? ['link set out up', `addr add ${theirs}/31 dev out`, `route add default via ${ours}`] : []),
    ],
  );
  for (const link of endsOf(router))
    await runCommand('ip', ['-n', name, 'link', 'set', link, 'alias', wantedState(router)]);
}

/** The same on every host: a guest that moves finds it again. */
function gatewayMac(vni: number): string {
  const bytes = vni.toString(16).padStart(6, '0').match(/../g)!;
  return ['0e:cf:00', ...bytes].join(':');
}

function transitAddress(offset: number): string {
  const value = transitFirst + offset;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
}

function rules({ index }: Router): readonly string[] {
  const common = [
    `add table ip ${table}`,
    `add chain ip ${table} to-router { type filter hook input priority 0; policy drop; }`,
    `add rule ip ${table} to-router ct state established,related accept`,
    `add chain ip ${table} through { type filter hook forward priority 0; policy drop; }`,
  ];
  if (index === undefined) return common;
  return [
    ...common,
    `add rule ip ${table} to-router iifname "in" icmp type echo-request accept`,
    `add rule ip ${table} through tcp flags syn tcp option maxseg size set rt mtu`,
    `add rule ip ${table} through iifname "in" ct state new ct count over ${connectionsMax} drop`,
    `add rule ip ${table} through iifname "in" oifname "out" accept`,
    `add rule ip ${table} through ct state established,related accept`,
    `add chain ip ${table} hide { type nat hook postrouting priority 100; policy accept; }`,
    `add rule ip ${table} hide oifname "out" masquerade`,
  ];
}

async function batch(where: readonly string[], lines: readonly string[]): Promise<void> {
  await runCommand('ip', [...where, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
