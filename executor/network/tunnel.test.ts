/** Subnets over three hosts: namespaces joined by a bridge in a fourth; a guest is a namespace behind a pair of interfaces named as its tap. */
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { chmod, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { whyNot } from '#test/requires.ts';
import { tapName, tunnelName } from './names.ts';
import { hostNetworks, type Networks } from './networks.ts';

const run = promisify(execFile);
const addressOf = (n: number): string => `192.0.2.${n}`;

interface Guest {
  readonly uid: string;
  readonly netns: string;
  readonly ip: string;
  /** Whether `ip` answers, on Ethernet and above. */
  reaches(ip: string): Promise<boolean>;
}

interface PretendHost {
  readonly netns: string;
  readonly root: string;
  readonly networks: Networks;
  /** As another executor would see to them, with another address or none. */
  networksAt(tunnelAddress?: string): Networks;
  join(last: number, vni: number): Promise<Guest>;
  leave(guest: Guest): Promise<void>;
  /** All that the kernel, nftables and the disk hold for subnets. */
  traces(): Promise<readonly string[]>;
}

async function openWorld(hosts = 3, mtu = 1600) {
  const stack = new AsyncDisposableStack();
  const name = `cft-${randomBytes(3).toString('hex')}`;
  const ip = async (netns: string, ...args: string[]) => await run('ip', ['-n', netns, ...args]);
  async function makeNetns(netns: string): Promise<string> {
    await run('ip', ['netns', 'add', netns]);
    stack.defer(async () => {
      const { stdout } = await run('ip', ['netns', 'pids', netns]);
      for (const pid of stdout.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
      await run('ip', ['netns', 'del', netns]);
    });
    await ip(netns, 'link', 'set', 'lo', 'up');
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
    const networksAt = (tunnelAddress?: string) => hostNetworks({ root, netns, tunnelAddress, clock: systemClock });
    const networks = networksAt(addressOf(n));
    let guests = 0;
    return {
      ...{ netns, root, networks, networksAt },
      async join(last, vni) {
        const uid = randomUUID();
        const network = networkOf(last, vni);
        const guest = await makeNetns(`${name}-g${n}-${guests++}`);
        const [nic] = await networks.attach({ uid, hostname: 'web', networks: [network] });
        await ip(netns, 'link', 'add', nic!.tap, 'type', 'veth', 'peer', 'eth0', 'netns', guest);
        await ip(netns, 'link', 'set', nic!.tap, 'master', nic!.bridge, 'up');
        await ip(guest, 'link', 'set', 'eth0', 'address', network.mac, 'mtu', String(network.mtu), 'up');
        await ip(guest, 'addr', 'add', `${network.ip}/24`, 'dev', 'eth0');
        const reaches = async (to: string) =>
          await run('ip', ['netns', 'exec', guest, 'ping', '-c', '2', '-i', '0.2', '-W', '1', to]).then(
            () => true,
            () => false,
          );
        return { uid, netns: guest, ip: network.ip, reaches };
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

const networkOf = (last: number, vni: number): MachineNetwork => ({
  ...{ subnet: 'render', subnetUID: 'u', vni, ip: `10.66.0.${last}`, prefix: 24, gateway: '' },
  ...{ mac: `52:54:00:00:00:${last}`, mtu: 1500, dns: [], domain: '', leaseSeconds: 600 },
});

async function flood({ netns }: PretendHost, vni: number): Promise<readonly string[]> {
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

async function counting(netns: string, family: string, hook: string, rules: readonly string[]): Promise<void> {
  const chain = [`type filter hook ${hook} priority 10`, ...rules].join('\n');
  const nft = run('ip', ['netns', 'exec', netns, 'nft', '-f', '-']);
  nft.child.stdin!.end(`table ${family} t {\nchain c {\n${chain}\n}\n}\n`);
  await nft;
}

describe.skipIf(whyNot(['ip', 'bridge', 'nft', 'dnsmasq', 'ping', 'busybox'], { root: true }) !== undefined)(
  'subnets over hosts',
  { timeout: 60_000 },
  () => {
    test('one subnet reaches across hosts, another with the same addresses does not, and in the end nothing is left', async () => {
      await using world = await openWorld();
      const [one, two, three] = world.hosts as [PretendHost, PretendHost, PretendHost];
      const before = await Promise.all(world.hosts.map((host) => host.traces()));
      const a = await one.join(11, 300);
      const b = await two.join(12, 300);
      const stranger = await two.join(11, 301);
      const alone = await three.join(13, 301);
      expect(await a.reaches(b.ip)).toBe(false);
      await world.connect(300, 1, 2);
      await world.connect(301, 2, 3);
      expect(await a.reaches(b.ip)).toBe(true);
      expect(await stranger.reaches(alone.ip)).toBe(true);
      expect([await a.reaches(alone.ip), await stranger.reaches(b.ip)]).toEqual([false, false]);
      const c = await three.join(14, 300);
      await world.connect(300, 1, 2, 3);
      expect(await c.reaches(a.ip)).toBe(true);
      // A host that has left the list is heard no more, whatever it sends.
      await world.connect(300, 1, 2);
      expect([await c.reaches(a.ip), await a.reaches(b.ip)]).toEqual([false, true]);
      for (const [host, guest] of [
        [one, a],
        [two, b],
        [two, stranger],
        [three, alone],
        [three, c],
      ] as const)
        await host.leave(guest);
      const after = await Promise.all(world.hosts.map((host) => host.traces()));
      expect(after).toEqual(before.map((traces) => [...traces, 'network']));
    });

    test('large frames pass as they are; where the way is too narrow the machine is refused with both numbers', async () => {
      await using world = await openWorld(2);
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const [a, b] = [await one.join(11, 300), await two.join(12, 300)];
      await world.connect(300, 1, 2);
      await run('ip', ['netns', 'exec', a.netns, 'ping', '-c', '1', '-W', '2', '-M', 'do', '-s', '1472', b.ip]);
      await using narrow = await openWorld(1, 1500);
      await expect(narrow.hosts[0]!.join(11, 300)).rejects.toThrow(
        /Subnet render has an mtu of 1500, which needs 1550 between hosts, but eth0 with 192.0.2.1 has 1500: set the Subnet's mtu to 1450/,
      );
    });

    test('a host is no part of its subnets, and gives addresses to its own guests only', async () => {
      await using world = await openWorld(2);
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const [a, b] = [await one.join(11, 300), await two.join(12, 300)];
      await world.connect(300, 1, 2);
      // Counted in the guest of the other host: neither questions for addresses nor answers get there.
      await counting(b.netns, 'netdev', 'ingress device eth0', ['udp dport { 67, 68 } counter']);
      const ask = ['busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-t', '2', '-T', '1', '-s', '/bin/true'];
      await run('ip', ['netns', 'exec', a.netns, ...ask]);
      const { stdout } = await run('ip', ['netns', 'exec', b.netns, 'nft', 'list', 'table', 'netdev', 't']);
      expect(stdout).toContain('counter packets 0 ');
      expect(await a.reaches(b.ip)).toBe(true);
      // Nor does the other host itself hear what guests here say to everybody.
      await counting(two.netns, 'bridge', 'input', [`iifname "${tunnelName(300)}" counter`]);
      expect(await a.reaches('10.66.0.77')).toBe(false);
      const heard = await run('ip', ['netns', 'exec', two.netns, 'nft', 'list', 'table', 'bridge', 't']);
      expect(heard.stdout).toContain('counter packets 0 ');
    });

    test('a guest cannot speak for another across hosts', async () => {
      await using world = await openWorld(2);
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const [a, b] = [await one.join(11, 300), await two.join(12, 300)];
      await world.connect(300, 1, 2);
      await run('ip', ['-n', a.netns, 'addr', 'add', '10.66.0.99/24', 'dev', 'eth0']);
      const spoofed = run('ip', ['netns', 'exec', a.netns, 'ping', '-c', '1', '-W', '1', '-I', '10.66.0.99', b.ip]);
      await expect(spoofed).rejects.toThrow();
      expect(await a.reaches(b.ip)).toBe(true);
    });

    test('frames go to the hosts that carry the subnet, with its own number, and nowhere else', async () => {
      await using world = await openWorld();
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const [a, b] = [await one.join(11, 300), await two.join(12, 300)];
      await world.connect(300, 1, 2);
      const count = (to: string, vni: string) => `ip daddr ${to} udp dport 4789 @th,96,24 ${vni} counter`;
      const rules = [
        count(addressOf(2), '300'),
        count(addressOf(2), '!= 300'),
        `ip daddr ${addressOf(3)} udp dport 4789 counter`,
      ];
      await counting(world.wire, 'bridge', 'forward', rules);
      await a.reaches(b.ip);
      await a.reaches('10.66.0.77');
      const { stdout } = await run('ip', ['netns', 'exec', world.wire, 'nft', 'list', 'table', 'bridge', 't']);
      const [own, other, apart] = [...stdout.matchAll(/counter packets (\d+)/g)].map(([, packets]) => Number(packets));
      expect(own).toBeGreaterThan(2);
      expect([other, apart]).toEqual([0, 0]);
    });

    test('what is missing is made anew by the next step: the port, the list, the rules', async () => {
      await using world = await openWorld(2);
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const [a, b] = [await one.join(11, 300), await two.join(12, 300)];
      await world.connect(300, 1, 2);
      const steps = [
        () => one.networks.attach({ uid: a.uid, hostname: 'web', networks: [networkOf(11, 300)] }),
        () => one.networks.setPeers(300, [addressOf(2)]),
      ];
      const breaks: readonly (readonly string[])[] = [
        ['ip', 'link', 'del', tunnelName(300)],
        ['ip', 'link', 'set', tunnelName(300), 'nomaster', 'down'],
        ['bridge', 'fdb', 'del', '00:00:00:00:00:00', 'dev', tunnelName(300), 'dst', addressOf(2)],
        ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', tunnelName(300), 'dst', addressOf(9)],
        ['nft', 'delete', 'table', 'inet', 'computefactory_tunnels'],
      ];
      for (const [broken, step] of breaks.flatMap((each) => steps.map((step) => [each, step] as const))) {
        await run('ip', ['netns', 'exec', one.netns, ...broken]);
        await step();
        expect(await flood(one, 300), broken.join(' ')).toEqual([addressOf(2)]);
        expect(await a.reaches(b.ip), broken.join(' ')).toBe(true);
        expect((await one.traces()).filter((trace) => trace === 'table inet computefactory_tunnels')).toHaveLength(1);
      }
    });

    test('a host that has booted is told of others before a machine joins: it is whole, and empty in the end', async () => {
      await using world = await openWorld(1);
      const [one] = world.hosts as [PretendHost];
      const guest = await one.join(11, 300);
      await one.networks.setPeers(300, [addressOf(2)]);
      const before = await one.traces();
      await run('ip', ['-n', one.netns, 'link', 'del', 'cfb12c']);
      await run('ip', ['-n', one.netns, 'link', 'del', tunnelName(300)]);
      await run('ip', ['netns', 'exec', one.netns, 'nft', 'flush', 'ruleset']);
      await one.networks.setPeers(300, [addressOf(2)]);
      expect((await one.traces()).toSorted()).toEqual(before.toSorted());
      await one.leave(guest);
      expect((await one.traces()).filter((trace) => /^cf|table/.test(trace))).toEqual([]);
    });

    test('an address that changes or goes is followed', async () => {
      await using world = await openWorld(2);
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const [a, b] = [await one.join(11, 300), await two.join(12, 300)];
      await run('ip', ['-n', one.netns, 'addr', 'add', `${addressOf(11)}/24`, 'dev', 'eth0']);
      await one.networksAt(addressOf(11)).setPeers(300, [addressOf(2)]);
      await two.networks.setPeers(300, [addressOf(11)]);
      expect(await a.reaches(b.ip)).toBe(true);
      await one.networksAt().setPeers(300, [addressOf(2)]);
      expect((await one.traces()).filter((trace) => /^cfx|tunnels/.test(trace))).toEqual([]);
    });

    test('peers that are none are refused; of a subnet that is not here nothing is kept; the host itself is no peer', async () => {
      await using world = await openWorld(1);
      const [one] = world.hosts as [PretendHost];
      await one.networks.setPeers(300, [addressOf(2)]);
      expect(await one.traces()).not.toContain('network');
      await one.join(11, 300);
      await expect(one.networks.setPeers(300, ['192.0.2.1; drop'])).rejects.toThrow('as another host of subnet render');
      const many = Array.from({ length: 1025 }, (_, n) => `10.1.${n >> 8}.${n & 255}`);
      await expect(one.networks.setPeers(300, many)).rejects.toThrow('to 1025 other hosts: 1024 at most');
      await one.networks.setPeers(300, [addressOf(1), addressOf(2)]);
      expect(await flood(one, 300)).toEqual([addressOf(2)]);
      expect(tapName(randomUUID(), 300)).not.toBe(tunnelName(300));
    });
  },
);
