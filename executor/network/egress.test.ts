/** Guests that go out through their hosts, to an Internet of one namespace. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { addressOf, type Guest, openWorld, type PretendHost, run } from '../testing/subnet-hosts.ts';
import { routerName } from './router.ts';

const gateway = '10.66.0.1';
const out = { gateway, egress: 'NAT' as const };
/** Somebody in the Internet, and somebody at the site. */
const [website, printer] = ['9.9.9.9', '10.99.0.1'];

/** Two hosts, and who is beyond them: the last address of their network is their default gateway. */
async function openInternet() {
  const stack = new AsyncDisposableStack();
  const world = stack.use(await openWorld(2));
  const beyond = `${world.wire}i`;
  await run('ip', ['netns', 'add', beyond]);
  stack.defer(async () => void (await run('ip', ['netns', 'del', beyond])));
  const there = async (...args: string[]) => await run('ip', ['-n', beyond, ...args]);
  await run('ip', ['-n', world.wire, 'link', 'add', 'i', 'type', 'veth', 'peer', 'eth0', 'netns', beyond]);
  await run('ip', ['-n', world.wire, 'link', 'set', 'i', 'master', 'wire', 'up']);
  await there('link', 'set', 'lo', 'up');
  await there('link', 'set', 'eth0', 'up');
  for (const address of [`${addressOf(254)}/24`, `${website}/32`, `${printer}/32`])
    await there('addr', 'add', address, 'dev', 'eth0');
  for (const { netns } of world.hosts) await run('ip', ['-n', netns, 'route', 'add', 'default', 'via', addressOf(254)]);
  // The way back to guests, which nobody may use: answers go to hosts.
  await there('route', 'add', '10.66.0.0/24', 'via', addressOf(1));
  const { path: pages } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  const server = spawn('ip', ['netns', 'exec', beyond, 'busybox', 'httpd', '-f', '-p', `${website}:80`, '-h', pages]);
  stack.defer(async () => {
    server.kill();
    await once(server, 'exit');
  });
  return {
    ...world,
    ...{ beyond, pages },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const answers = async ({ netns }: { netns: string }, to: string) =>
  await run('ip', ['netns', 'exec', netns, 'ping', '-c', '2', '-i', '0.2', '-W', '1', to]).then(
    () => true,
    () => false,
  );

async function goesOut(host: PretendHost, last: number, vni: number, more: object = out): Promise<Guest> {
  const guest = await host.join(last, vni, more);
  await run('ip', ['-n', guest.netns, 'route', 'add', 'default', 'via', gateway]);
  return guest;
}

describe.skipIf(
  whyNot(['ip', 'bridge', 'nft', 'dnsmasq', 'busybox', 'ping', 'sysctl', 'perl'], { root: true }) !== undefined,
)('the way out', { timeout: 120_000 }, () => {
  test('is there for guests of subnets with the same addresses at once, behind the address of their host', async () => {
    await using world = await openInternet();
    const [one, two] = world.hosts as [PretendHost, PretendHost];
    const before = await one.traces();
    const guests = [await goesOut(one, 11, 300), await goesOut(one, 11, 301), await goesOut(two, 12, 300)];
    await world.connect(300, 1, 2);
    for (const page of [0, 1, 2]) writeFileSync(join(world.pages, `${page}`), `page ${page}`);
    // With -T it ends with SIGSEGV: the deadline is ours.
    const asks = async ({ netns }: Guest, page: number) => {
      const wget = ['busybox', 'wget', '-qO-', `http://${website}/${page}`];
      return (await run('ip', ['netns', 'exec', netns, ...wget], { timeout: 5_000 })).stdout;
    };
    await expect.poll(() => asks(guests[0]!, 0).catch(String), { timeout: 10_000 }).toBe('page 0');
    // All at the same time: each gets what it has asked for.
    expect(await Promise.all(guests.map(asks))).toEqual(['page 0', 'page 1', 'page 2']);
    const { stdout } = await run('ip', ['-n', world.beyond, 'neigh']);
    expect(stdout).toContain(addressOf(1));
    expect(stdout).toContain(addressOf(2));
    expect(stdout).not.toMatch(/198\.18|10\.66/);
    // The second subnet does not notice that the first one goes.
    await one.leave(guests[0]!);
    expect(await answers(guests[1]!, website)).toBe(true);
    await one.leave(guests[1]!);
    expect(await one.traces()).toEqual([...before, 'network']);
    const { stdout: names } = await run('ip', ['netns', 'list']);
    for (const vni of [300, 301]) expect(names).not.toContain(routerName(vni, one.netns));
    expect(names).toContain(routerName(300, two.netns));
    await two.leave(guests[2]!);
  });

  test('leads to the Internet alone: not to the host, other hosts, the site, other subnets; nobody comes in', async () => {
    await using world = await openInternet();
    const [one, two] = world.hosts as [PretendHost, PretendHost];
    const guest = await goesOut(one, 11, 300);
    const neighbour = await goesOut(one, 12, 301);
    await run('ip', ['-n', neighbour.netns, 'addr', 'add', '10.66.1.12/24', 'dev', 'eth0']);
    expect(await answers(guest, website)).toBe(true);
    expect(await answers(guest, gateway)).toBe(true);
    for (const closed of [
      addressOf(1),
      addressOf(2),
      addressOf(254),
      printer,
      '198.18.0.0',
      '198.18.0.2',
      '169.254.169.253',
    ])
      expect([closed, await answers(guest, closed)]).toEqual([closed, false]);
    expect(await answers({ netns: world.beyond }, guest.ip)).toBe(false);
    // Not even from the host.
    expect(await answers({ netns: one.netns }, '198.18.0.1')).toBe(false);
    // What the operator of a host says is of use to guests.
    const allowing = two.networksAt(addressOf(2), { allowPrivateEgress: ['10.99.0.0/16'] });
    const there = await goesOut(two, 13, 302);
    expect(await answers(there, printer)).toBe(false);
    await allowing.attach({ uid: there.uid, hostname: 'web', networks: [{ ...there.network }] });
    expect(await answers(there, printer)).toBe(true);
    expect(await answers(there, addressOf(254))).toBe(false);
  });

  test('is not there for a subnet without it, and no other host’s', async () => {
    await using world = await openInternet();
    const [one, two] = world.hosts as [PretendHost, PretendHost];
    const guest = await goesOut(one, 11, 300);
    const closed = await goesOut(two, 12, 300, { gateway });
    await world.connect(300, 1, 2);
    expect(await closed.reaches(guest.ip)).toBe(true);
    expect(await answers(closed, gateway)).toBe(false);
    expect(await answers(closed, website)).toBe(false);
  });

  test('is made anew where a part of it is missing, and says why it cannot be made', async () => {
    await using world = await openInternet();
    const [one] = world.hosts as [PretendHost];
    const guest = await goesOut(one, 11, 300);
    const again = async () =>
      await one.networks.attach({ uid: guest.uid, hostname: 'web', networks: [{ ...guest.network }] });
    await run('ip', ['-n', one.netns, 'link', 'del', 'cfu12c']);
    expect(await answers(guest, website)).toBe(false);
    await again();
    expect(await answers(guest, website)).toBe(true);
    await run('ip', ['-n', one.netns, 'link', 'del', 'cfg12c']);
    await again();
    expect(await answers(guest, website)).toBe(true);
    await run('ip', ['-n', one.netns, 'route', 'del', 'default']);
    await expect(again()).rejects.toThrow('Subnet render has egress NAT, but this host has no default route');
  });

  test('is not taken from others by a guest that opens one connection after the other', async () => {
    await using world = await openInternet();
    const [one] = world.hosts as [PretendHost];
    const greedy = await goesOut(one, 11, 300);
    const other = await goesOut(one, 11, 301);
    const script = `
use Socket;
for my $port (2000 .. 22000) {
  my $s;
  socket($s, AF_INET, SOCK_DGRAM, 17) and bind($s, sockaddr_in($port, INADDR_ANY)) or die $!;
  send($s, 'x', 0, sockaddr_in(53, inet_aton('${website}')));
}`;
    await run('ip', ['netns', 'exec', greedy.netns, 'perl', '-e', script]);
    const connections = async (netns: string) =>
      Number((await run('ip', ['netns', 'exec', netns, 'sysctl', '-n', 'net.netfilter.nf_conntrack_count'])).stdout);
    expect(await connections(routerName(300, one.netns))).toBeGreaterThan(10_000);
    expect(await connections(one.netns)).toBeLessThan(16_500);
    expect(await answers(other, website)).toBe(true);
  });
});
