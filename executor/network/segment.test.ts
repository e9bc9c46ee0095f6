/** Subnets on networks of a site: the bridge `lan` of two hosts, joined by a cable, with a machine of the site on it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { addressOf, counting, openWorld, type PretendHost, run } from '../testing/subnet-hosts.ts';
import { plugPrefix } from './names.ts';
import { knock } from './reach.ts';

const lan = { segment: { bridge: 'lan' }, gateway: '10.66.0.1' } as const;
const segments = { bridges: ['lan', 'thin', 'eth0'], nics: ['eth0'] };
/** Of the site, beside the first host: a machine, and the host itself. */
const [printer, hostsOwn] = ['10.66.0.200', '10.66.0.1'];

async function openSite() {
  const stack = new AsyncDisposableStack();
  const world = stack.use(await openWorld(2, 1600, { segments }));
  const [one, two] = world.hosts as [PretendHost, PretendHost];
  const ip = async (netns: string, ...args: string[]) => await run('ip', ['-n', netns, ...args]);
  for (const { netns } of world.hosts) {
    await ip(netns, 'link', 'add', 'lan', 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0');
    await ip(netns, 'link', 'set', 'lan', 'up');
  }
  await ip(one.netns, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'cable', 'netns', two.netns);
  for (const { netns } of world.hosts) await ip(netns, 'link', 'set', 'cable', 'master', 'lan', 'up');
  await ip(one.netns, 'addr', 'add', `${hostsOwn}/24`, 'dev', 'lan');
  const site = `${world.wire}s`;
  await run('ip', ['netns', 'add', site]);
  stack.defer(async () => void (await run('ip', ['netns', 'del', site])));
  await ip(one.netns, 'link', 'add', 'desk', 'type', 'veth', 'peer', 'eth0', 'netns', site);
  await ip(one.netns, 'link', 'set', 'desk', 'master', 'lan', 'up');
  await ip(site, 'link', 'set', 'eth0', 'up');
  await ip(site, 'addr', 'add', `${printer}/24`, 'dev', 'eth0');
  return { ...world, ip, site, one, two, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** A DHCP server in that namespace, which gives 10.66.0.50 to 60, until it is stopped. */
function serve(netns: string, root: string) {
  const config = join(root, 'udhcpd.conf');
  writeFileSync(config, `start 10.66.0.50\nend 10.66.0.60\ninterface eth0\nlease_file /dev/null\npidfile ${root}/p\n`);
  const server = spawn('ip', ['netns', 'exec', netns, 'busybox', 'udhcpd', '-f', config], { stdio: 'ignore' });
  return {
    async [Symbol.asyncDispose]() {
      server.kill();
      await once(server, 'exit');
    },
  };
}

const pings = async (netns: string, to: string, ...flags: string[]) =>
  await run('ip', ['netns', 'exec', netns, 'ping', '-c', '2', '-i', '0.2', '-W', '1', ...flags, to]).then(
    () => true,
    () => false,
  );

const asksForAddress = async ({ netns }: { readonly netns: string }) => {
  const client = ['busybox', 'udhcpc', '-f', '-n', '-q', '-t', '5', '-T', '1', '-i', 'eth0', '-s', '/bin/true'];
  const { stderr } = await run('ip', ['netns', 'exec', netns, ...client], { timeout: 20_000 });
  return /lease of (\S+) obtained from (\S+?),?\s/.exec(stderr)?.slice(1, 3);
};

describe.skipIf(whyNot(['ip', 'bridge', 'nft', 'dnsmasq', 'busybox', 'ping'], { root: true }) !== undefined)(
  'a subnet on a bridge of the site',
  { timeout: 120_000 },
  () => {
    test('joins guests of all hosts and the site, not their own host; nothing of it stays, and nothing of the site’s goes', async () => {
      await using world = await openSite();
      const { one, two, site, ip } = world;
      const before = [await one.traces(), await two.traces()];
      const [near, far] = [await one.join(11, 300, lan), await two.join(12, 300, lan)];
      expect(await near.reaches(far.ip)).toBe(true);
      for (const guest of [near, far]) expect(await guest.reaches(printer)).toBe(true);
      // To guests of other hosts a host is like everything else that the site has there.
      await counting(one.netns, 'bridge', 'input', [`iifname "${plugPrefix}*" counter`]);
      expect([await near.reaches(hostsOwn), await far.reaches(hostsOwn)]).toEqual([false, true]);
      // Not even what asks for no answer.
      const { stdout: heard } = await run('ip', ['netns', 'exec', one.netns, 'nft', 'list', 'table', 'bridge', 't']);
      expect(heard).toContain('counter packets 0 ');
      await run('ip', ['netns', 'exec', one.netns, 'nft', 'delete', 'table', 'bridge', 't']);
      expect(await pings(site, near.ip)).toBe(true);
      // The site's own machine reaches the host as ever.
      expect(await pings(site, hostsOwn)).toBe(true);
      expect(await pings(one.netns, near.ip)).toBe(false);
      await expect(knock(near.network, 80, AbortSignal.timeout(1000), one.netns)).rejects.toThrow(
        'probe by guestAgent',
      );
      const macOfLan = async () => (await ip(one.netns, '-brief', 'link', 'show', 'lan')).stdout;
      const during = await macOfLan();
      await one.leave(near);
      await two.leave(far);
      expect(await macOfLan()).toBe(during);
      expect([await one.traces(), await two.traces()]).toEqual(before.map((traces) => [...traces, 'network']));
      expect(await pings(site, hostsOwn)).toBe(true);
    });

    test('lets a guest speak for itself alone, and gives it its address whoever else does so', async () => {
      await using world = await openSite();
      const { one, site, ip } = world;
      const guest = await one.join(11, 300, lan);
      {
        await using _ = serve(site, one.root);
        // A guest that is not behind our rules gets the site's.
        const other = { netns: await one.intrude('lan', '02:00:00:00:00:98', '10.66.0.98') };
        await expect.poll(async () => (await asksForAddress(other))?.[1], { timeout: 20_000 }).toBe(printer);
        for (let n = 0; n < 3; n++) expect(await asksForAddress(guest)).toEqual([guest.ip, '169.254.169.253']);
      }
      await ip(guest.netns, 'addr', 'add', '10.66.0.99/24', 'dev', 'eth0');
      expect(await pings(guest.netns, printer)).toBe(true);
      expect(await pings(guest.netns, printer, '-I', '10.66.0.99')).toBe(false);
      await ip(site, 'neigh', 'flush', 'all');
      await ip(guest.netns, 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99');
      expect(await pings(guest.netns, printer)).toBe(false);
    });

    test('whose DHCP gives the addresses is heard by its guests, who may have any; others hear ours as ever', async () => {
      await using world = await openSite();
      const { one, two, site, ip } = world;
      const before = await one.traces();
      const outside = { ...lan, gateway: '', ip: '', external: true } as const;
      const [guest, far] = [await one.join(11, 300, outside), await two.join(12, 300, outside)];
      // No server of ours has begun.
      expect((await run('ip', ['netns', 'pids', one.netns])).stdout).toBe('');
      const ours = await one.join(13, 301, lan);
      const passing = async () =>
        (await run('ip', ['netns', 'exec', one.netns, 'nft', 'list', 'set', 'bridge', 'computefactory', 'outside']))
          .stdout;
      expect(await passing()).toContain('"cfx12c"');
      {
        await using _ = serve(site, one.root);
        for (const each of [guest, far]) {
          await expect.poll(async () => (await asksForAddress(each))?.[1], { timeout: 20_000 }).toBe(printer);
        }
        for (let n = 0; n < 3; n++) expect(await asksForAddress(ours)).toEqual([ours.ip, '169.254.169.253']);
      }
      for (const address of ['10.66.0.50', '10.66.0.77']) {
        await ip(guest.netns, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
        expect(await pings(guest.netns, printer, '-I', address)).toBe(true);
      }
      expect(await pings(site, '10.66.0.77')).toBe(true);
      expect([await guest.reaches(ours.ip), await guest.reaches(hostsOwn)]).toEqual([true, false]);
      await ip(site, 'neigh', 'flush', 'all');
      await ip(guest.netns, 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99');
      expect(await pings(guest.netns, printer)).toBe(false);
      await one.leave(guest);
      expect(await passing()).not.toContain('cfx');
      await one.leave(ours);
      expect(await one.traces()).toEqual([...before, 'network', 'udhcpd.conf']);
    });

    test('is asked on before an address is used', async () => {
      await using world = await openSite();
      const { one } = world;
      const network = { ...(await one.join(11, 300, lan)).network, ip: printer, probe: true };
      const asking = one.networks.requireFree({ uid: 'u', hostname: 'web', networks: [network] });
      await expect(asking).rejects.toThrow(`Address ${printer} of subnet render is in use`);
    });

    test('comes back when its port was lost, and goes on beside an overlay with the same addresses', async () => {
      await using world = await openSite();
      const { one, two, ip } = world;
      const [guest, apart, far] = [await one.join(11, 300, lan), await one.join(13, 301), await two.join(12, 301)];
      await world.connect(301, 1, 2);
      expect(await guest.reaches(printer)).toBe(true);
      expect([await apart.reaches(far.ip), await apart.reaches(printer), await guest.reaches(far.ip)]).toEqual([
        ...[true, false, false],
      ]);
      await ip(one.netns, 'link', 'del', 'cfp12c');
      expect(await guest.reaches(printer)).toBe(false);
      await one.networks.attach({ uid: guest.uid, hostname: 'web', networks: [guest.network] });
      expect(await guest.reaches(printer)).toBe(true);
      // Peers are no business of it.
      await one.networks.setPeers(300, [addressOf(2)]);
      expect(await guest.reaches(printer)).toBe(true);
      await one.leave(apart);
      expect(await guest.reaches(printer)).toBe(true);
    });

    test.each([
      [{ bridge: 'other' }, 'is on bridge other, onto which this host lets no guests: name it in segments.bridges'],
      [{ bridge: 'thin' }, 'is on bridge thin, which this host does not have: make it'],
      [{ bridge: 'eth0' }, 'is on bridge eth0, but on this host eth0 is no bridge'],
      [{ nic: 'eth1', vlan: 5 }, 'is on interface eth1, onto which this host lets no guests: name it in segments.nics'],
      [{ bridge: 'cfb12d' }, 'Cannot use segment'],
      [{ bridge: 'lan; reboot' }, 'Cannot use segment'],
      [{ nic: 'eth0', vlan: 4095 }, 'Cannot use segment'],
    ])('that is %j is refused in one sentence', async (segment, words) => {
      await using world = await openWorld(1, 1600, { segments });
      await expect(world.hosts[0]!.join(11, 300, { ...lan, segment })).rejects.toThrow(words);
    });

    test('has to fit', async () => {
      await using world = await openSite();
      await expect(world.one.join(11, 300, { ...lan, mtu: 9000 })).rejects.toThrow(
        'has an mtu of 9000, but lan of this host has 1500',
      );
    });

    test('or on a VLAN, where the kernel knows them', async () => {
      await using world = await openWorld(2, 1600, { segments });
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const vlan = { gateway: '10.66.0.1', segment: { nic: 'eth0', vlan: 5 } };
      const add = ['link', 'add', 'link', 'eth0', 'name', 'v', 'type', 'vlan', 'id', '5'];
      const known = await run('ip', ['-n', one.netns, ...add]).then(
        () => true,
        () => false,
      );
      if (!known) {
        await expect(one.join(11, 300, vlan)).rejects.toThrow(
          "Subnet render is on VLAN 5 of interface eth0, but this host's kernel knows no VLANs: load the module 8021q",
        );
        return;
      }
      await expect(one.join(11, 300, vlan)).rejects.toThrow('which this host has for something else');
      await run('ip', ['-n', one.netns, 'link', 'del', 'v']);
      const [near, far] = [await one.join(12, 300, vlan), await two.join(13, 300, vlan)];
      expect(await near.reaches(far.ip)).toBe(true);
      expect(await near.reaches(addressOf(1))).toBe(false);
    });
  },
);
