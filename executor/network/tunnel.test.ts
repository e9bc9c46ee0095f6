/** Subnets over three hosts. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { addressOf, counting, flood, networkOf, openWorld, type PretendHost, run } from '../testing/subnet-hosts.ts';
import { tapName, tunnelName } from './names.ts';

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
