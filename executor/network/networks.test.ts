/** Bridges, rules and DHCP in a network namespace of their own; no guests. */
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { whyNot } from '#test/requires.ts';
import { guardedTaps } from './guard.ts';
import { bridgeName, tapName } from './names.ts';
import { hostNetworks } from './networks.ts';
import { SubnetFiles } from './subnet-files.ts';

const run = promisify(execFile);

async function openWorld() {
  const stack = new AsyncDisposableStack();
  const { path: root } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  await chmod(root, 0o755); // dnsmasq reads its files as a user of its own
  const netns = `cft-${randomBytes(5).toString('hex')}`;
  await run('ip', ['netns', 'add', netns]);
  stack.defer(async () => {
    for (const pid of await pidsIn(netns)) process.kill(pid, 'SIGKILL');
    await run('ip', ['netns', 'del', netns]);
  });
  const networks = hostNetworks({ root, netns, clock: systemClock });
  const links = async () => {
    const { stdout } = await run('ip', ['-n', netns, '-json', 'link']);
    return (JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname);
  };
  return { root, netns, networks, links, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function pidsIn(netns: string): Promise<readonly number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', netns]);
  return stdout.split('\n').filter(Boolean).map(Number);
}

const network = (last: number, vni = 300, mac = last): MachineNetwork => ({
  ...{ subnet: 's', subnetUID: 'u', vni, ip: `10.0.0.${last}`, prefix: 24, gateway: '', mac: `52:54:00:00:00:${mac}` },
  ...{ mtu: 1500, dns: [], domain: '', leaseSeconds: 600 },
});
const machine = (uid: string, ...networks: MachineNetwork[]) => ({ uid, hostname: 'web', networks });

test('names fit into the kernel and differ', () => {
  const uid = randomUUID();
  const names = [bridgeName(1), bridgeName(2 ** 24 - 1), tapName(uid, 1), tapName(uid, 2), tapName(randomUUID(), 1)];
  expect(new Set(names).size).toBe(5);
  for (const name of names) expect(name).toMatch(/^cf[bt][0-9a-f]{1,12}$/);
  expect(() => bridgeName(2 ** 24)).toThrow(RangeError);
});

describe.skipIf(whyNot(['ip', 'nft', 'dnsmasq'], { root: true }) !== undefined)('networks of a host', () => {
  test('machines that come and go at once leave nothing', async () => {
    await using world = await openWorld();
    const uids = Array.from({ length: 4 }, () => randomUUID());
    await Promise.all(
      uids.map((uid, index) => world.networks.attach(machine(uid, network(11 + index), network(21 + index, 301)))),
    );
    expect([...world.networks.owners()].sort()).toEqual([...uids].sort());
    expect((await world.links()).sort()).toEqual(['cfb12c', 'cfb12d', 'lo']);
    expect(await guardedTaps(world.netns)).toHaveLength(8);
    expect(await pidsIn(world.netns)).toHaveLength(2);
    await Promise.all(uids.map((uid) => world.networks.detach(uid)));
    expect(world.networks.owners()).toEqual([]);
    expect(await world.links()).toEqual(['lo']);
    expect(await guardedTaps(world.netns)).toEqual([]);
    expect(await pidsIn(world.netns)).toEqual([]);
    expect(readdirSync(join(world.root, 'network'))).toEqual([]);
  });

  test('the same again changes nothing; a server that died comes back', async () => {
    await using world = await openWorld();
    const one = machine(randomUUID(), network(11));
    await world.networks.attach(one);
    const [first] = await pidsIn(world.netns);
    await world.networks.attach(one);
    expect(await pidsIn(world.netns)).toEqual([first]);
    process.kill(first!, 'SIGKILL');
    await world.networks.attach(one);
    const after = await pidsIn(world.netns);
    expect(after).toHaveLength(1);
    expect(after).not.toEqual([first]);
  });

  test('an address goes to its next owner: the lease of the last one is forgotten', async () => {
    await using world = await openWorld();
    const [stays, goes, comes] = [randomUUID(), randomUUID(), randomUUID()];
    await world.networks.attach(machine(stays, network(11)));
    await world.networks.attach(machine(goes, network(12)));
    const leases = join(world.root, 'network', '300', 'leases');
    const kept = '99999999999 52:54:00:00:00:11 10.0.0.11 web *';
    writeFileSync(leases, `${kept}\n99999999999 52:54:00:00:00:12 10.0.0.12 web *\n`);
    await world.networks.detach(goes);
    await world.networks.attach(machine(comes, network(12, 300, 13)));
    expect(readFileSync(leases, 'utf8').trim()).toBe(kept);
  });

  test('what a kill after the first file left behind is removed', async () => {
    await using world = await openWorld();
    const uid = randomUUID();
    new SubnetFiles(world.root).put({ uid, hostname: 'web', network: network(11) });
    expect(world.networks.owners()).toEqual([uid]);
    await world.networks.detach(uid);
    expect(readdirSync(join(world.root, 'network'))).toEqual([]);
  });
});
