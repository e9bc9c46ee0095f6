/** Hosts of subnets: namespaces joined by a bridge in a fourth; a guest is a namespace behind a pair of interfaces named as its tap. */
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { chmod, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { bridgeName, tunnelName } from '../network/names.ts';
import { hostNetworks, type NetworkOptions, type Networks } from '../network/networks.ts';

export const run = promisify(execFile);
export const addressOf = (n: number): string => `192.0.2.${n}`;

export interface Guest {
  readonly uid: string;
  readonly netns: string;
  readonly ip: string;
  readonly network: MachineNetwork;
  /** Whether `ip` answers, on Ethernet and above. */
  reaches(ip: string): Promise<boolean>;
}

export interface PretendHost {
  readonly netns: string;
  readonly root: string;
  readonly networks: Networks;
  /** As another executor would see to them, with another address or none. */
  networksAt(tunnelAddress?: string, more?: Partial<NetworkOptions>): Networks;
  join(last: number, vni: number, more?: Partial<MachineNetwork>): Promise<Guest>;
  /** Somebody on a port of a bridge, or of the subnet's, that no rules watch over; it is here. */
  intrude(on: number | string, mac: string, ip: string): Promise<string>;
  leave(guest: Guest): Promise<void>;
  /** All that the kernel, nftables and the disk hold for subnets. */
  traces(): Promise<readonly string[]>;
}

export async function openWorld(hosts = 3, mtu = 1600, options: Partial<NetworkOptions> = {}) {
  const stack = new AsyncDisposableStack();
  const name = `cft-${randomBytes(3).toString('hex')}`;
  const ip = async (netns: string, ...args: string[]) => await run('ip', ['-n', netns, ...args]);
  async function makeNetns(netns: string): Promise<string> {
    await run('ip', ['netns', 'add', netns]);
    stack.defer(async () => {
      const { stdout } = await run('ip', ['netns', 'pids', netns]);
      for (const pid of stdout.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
      await run('ip', ['netns', 'del', netns]);
      // Of subnets whose guests were still there.
      for (const router of readdirSync('/run/netns').filter((each) => each.startsWith(`${netns}-r`)))
        await run('ip', ['netns', 'del', router]);
    });
    await ip(netns, 'link', 'set', 'lo', 'up');
    // Nobody says anything by itself: what is counted on the way was sent by whom a test asked to.
    const ipv6 = ['all', 'default'].map((which) => `net.ipv6.conf.${which}.disable_ipv6=1`);
    await run('ip', ['netns', 'exec', netns, 'sysctl', '-qw', ...ipv6]);
    return netns;
  }
  const wire = await makeNetns(`${name}-w`);
  await ip(wire, 'link', 'add', 'name', 'wire', 'mtu', String(mtu), 'type', 'bridge');
  await ip(wire, 'link', 'set', 'wire', 'up');

  async function makeHost(n: number): Promise<PretendHost> {
    const netns = await makeNetns(`${name}-h${n}`);
    await ip(wire, 'link', 'add', `h${n}`, 'mtu', `${mtu}`, 'type', 'veth', 'peer', 'eth0', 'netns', netns);
    await ip(wire, 'link', 'set', `h${n}`, 'master', 'wire', 'up');
    await ip(netns, 'link', 'set', 'eth0', 'mtu', String(mtu), 'up');
    await ip(netns, 'addr', 'add', `${addressOf(n)}/24`, 'dev', 'eth0');
    const { path: root } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
    await chmod(root, 0o755); // dnsmasq reads its files as a user of its own
    const networksAt = (tunnelAddress?: string, more = {}) =>
      hostNetworks({ root, netns, tunnelAddress, clock: systemClock, ...options, ...more });
    const networks = networksAt(addressOf(n));
    let guests = 0;
    return {
      ...{ netns, root, networks, networksAt },
      async join(last, vni, more) {
        const uid = randomUUID();
        const network = { ...networkOf(last, vni), ...more };
        const guest = await makeNetns(`${name}-g${n}-${guests++}`);
        const [nic] = await networks.attach({ uid, hostname: 'web', networks: [network] });
        await ip(netns, 'link', 'add', nic!.tap, 'type', 'veth', 'peer', 'eth0', 'netns', guest);
        await ip(netns, 'link', 'set', nic!.tap, 'master', nic!.bridge, 'up');
        await ip(guest, 'link', 'set', 'eth0', 'address', network.mac, 'mtu', String(network.mtu), 'up');
        if (network.ip !== '') await ip(guest, 'addr', 'add', `${network.ip}/24`, 'dev', 'eth0');
        const reaches = async (to: string) =>
          await run('ip', ['netns', 'exec', guest, 'ping', '-c', '2', '-i', '0.2', '-W', '1', to]).then(
            () => true,
            () => false,
          );
        return { uid, netns: guest, ip: network.ip, network, reaches };
      },
      async intrude(on, mac, address) {
        const guest = await makeNetns(`${name}-i${n}-${guests++}`);
        await ip(netns, 'link', 'add', `in${guests}`, 'type', 'veth', 'peer', 'eth0', 'netns', guest);
        await ip(netns, 'link', 'set', `in${guests}`, 'master', typeof on === 'string' ? on : bridgeName(on), 'up');
        await ip(guest, 'link', 'set', 'eth0', 'address', mac, 'up');
        await ip(guest, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
        return guest;
      },
      async leave({ uid, netns: guest }) {
        await ip(guest, 'link', 'del', 'eth0');
        await networks.detach(uid);
      },
      async traces() {
        const links = (await run('ip', ['-n', netns, '-brief', 'link'])).stdout
          .split('\n')
          .map((line) => line.split(/[ @]/)[0]!);
        const tables = (await run('ip', ['netns', 'exec', netns, 'nft', 'list', 'tables'])).stdout.split('\n');
        const pids = (await run('ip', ['netns', 'pids', netns])).stdout.split('\n');
        return [...links, ...tables, ...pids, ...readdirSync(root, { recursive: true }).map(String)].filter(Boolean);
      },
    };
  }
  const made: PretendHost[] = [];
  for (let n = 1; n <= hosts; n++) made.push(await makeHost(n));
  /** Tells each of these that the others carry the subnet too. */
  const connect = async (vni: number, ...numbers: number[]) => {
    for (const n of numbers)
      await made[n - 1]!.networks.setPeers(vni, numbers.filter((other) => other !== n).map(addressOf));
  };
  return { hosts: made, wire, connect, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

export const networkOf = (last: number, vni: number): MachineNetwork => ({
  ...{ subnet: 'render', subnetUID: 'u', vni, ip: `10.66.0.${last}`, prefix: 24, gateway: '' },
  ...{ mac: `52:54:00:00:00:${last}`, mtu: 1500, dns: [], domain: '', leaseSeconds: 600 },
});

export async function flood({ netns }: PretendHost, vni: number): Promise<readonly string[]> {
  const { stdout } = await run('ip', [
    'netns',
    'exec',
    netns,
    'bridge',
    '-json',
    'fdb',
    'show',
    'dev',
    tunnelName(vni),
  ]);
  const entries = JSON.parse(stdout) as { mac: string; dst?: string }[];
  return entries.flatMap(({ mac, dst }) => (mac === '00:00:00:00:00:00' && dst ? [dst] : [])).sort();
}

export async function counting(netns: string, family: string, hook: string, rules: readonly string[]): Promise<void> {
  const chain = [`type filter hook ${hook} priority 10`, ...rules].join('\n');
  const nft = run('ip', ['netns', 'exec', netns, 'nft', '-f', '-']);
  nft.child.stdin!.end(`table ${family} t {\nchain c {\n${chain}\n}\n}\n`);
  await nft;
}
