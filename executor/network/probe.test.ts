/** Whether somebody else has an address: on this host's bridge, and over the tunnel. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { whyNot } from '#test/requires.ts';
import { networkOf, openWorld, type PretendHost, run } from '../testing/subnet-hosts.ts';
import { bridgeName } from './names.ts';
import { requireNobodyAt } from './probe.ts';

const foreignMac = '02:00:0a:00:00:07';

const machineAt = (last: number, uid: string = randomUUID()) => ({
  ...{ uid, hostname: 'web' },
  networks: [{ ...networkOf(last, 300), probe: true }],
});

/** As a machine is attached, and asked for while its guest boots. */
async function begin({ networks }: PretendHost, machine: ReturnType<typeof machineAt>): Promise<number> {
  await networks.attach(machine);
  const since = performance.now();
  await networks.requireFree(machine);
  return performance.now() - since;
}

describe.skipIf(whyNot(['ip', 'bridge', 'nft', 'dnsmasq', 'busybox'], { root: true }) !== undefined)(
  'who has an address',
  { timeout: 60_000 },
  () => {
    test('nobody, also on a bridge without ports; what need not be asked for is not', async () => {
      await using world = await openWorld(1);
      const [one] = world.hosts as [PretendHost];
      const machine = machineAt(11);
      expect(await begin(one, machine)).toBeGreaterThan(1000);
      await one.intrude(300, foreignMac, machine.networks[0]!.ip);
      expect(await begin(one, { ...machine, networks: [networkOf(11, 300)] as never })).toBeLessThan(500);
    });

    test('somebody on the bridge: named with the MAC, and the machine leaves nothing', async () => {
      await using world = await openWorld(1);
      const [one] = world.hosts as [PretendHost];
      const before = await one.traces();
      const guest = await one.join(12, 300);
      const foreign = await one.intrude(300, foreignMac, '10.66.0.11');
      const machine = machineAt(11);
      await expect(begin(one, machine)).rejects.toMatchObject({
        message: `Address 10.66.0.11 of subnet render is in use: ${foreignMac} answers at it, which is not this machine`,
        conflict: { subnet: 'render', ip: '10.66.0.11', mac: foreignMac },
      });
      // It is asked again as long as nobody has found it free.
      await expect(begin(one, machine)).rejects.toThrow('is in use');
      await one.networks.detach(machine.uid);
      await run('ip', ['-n', foreign, 'link', 'del', 'eth0']);
      await one.leave(guest);
      expect(await one.traces()).toEqual([...before, 'network']);
    });

    test('somebody over the tunnel, whoever it is: a foreigner there, and a guest of that host', async () => {
      await using world = await openWorld(2);
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const guest = await two.join(12, 300);
      await two.intrude(300, foreignMac, '10.66.0.11');
      for (const last of [11, 12]) await one.networks.attach(machineAt(last));
      await world.connect(300, 1, 2);
      await expect(begin(one, machineAt(11))).rejects.toMatchObject({ conflict: { mac: foreignMac } });
      const mine = { ...machineAt(12).networks[0]!, mac: '52:54:00:00:00:99' };
      await expect(begin(one, { ...machineAt(12), networks: [mine] })).rejects.toMatchObject({
        conflict: { ip: guest.ip, mac: '52:54:00:00:00:12' },
      });
      expect(await begin(one, machineAt(13))).toBeGreaterThan(1000);
    });

    test('the machine itself is nobody else', async () => {
      await using world = await openWorld(1);
      const [one] = world.hosts as [PretendHost];
      await one.join(12, 300);
      await one.intrude(300, '52:54:00:00:00:11', '10.66.0.11');
      await begin(one, machineAt(11));
    });

    test('what cannot be asked is an error, not a free address', async () => {
      await using world = await openWorld(1);
      const [one] = world.hosts as [PretendHost];
      const asking = requireNobodyAt(networkOf(11, 300), one.netns, systemClock);
      await expect(asking).rejects.toThrow(`interface ${bridgeName(300)} not found`);
    });

    test('no guest learns who asks, and an answer to the host is all that gets through to it', async () => {
      await using world = await openWorld(1);
      const [one] = world.hosts as [PretendHost];
      const guest = await one.join(12, 300);
      const { mac, ip } = networkOf(12, 300);
      await one.networks.attach(machineAt(11));
      await one.networks.requireFree(machineAt(11));
      const known = await run('ip', ['-n', guest.netns, 'neigh']);
      expect(known.stdout).toBe('');
      // A question to the host, and an answer that it has not asked for.
      const ask = ['busybox', 'arping', '-c', '1', '-w', '1', '-I', 'eth0', '-s', ip];
      await expect(run('ip', ['netns', 'exec', guest.netns, ...ask, '169.254.169.253'])).rejects.toThrow();
      await run('ip', [
        'netns',
        'exec',
        guest.netns,
        'busybox',
        'arping',
        '-A',
        '-c',
        '1',
        '-w',
        '1',
        '-I',
        'eth0',
        ip,
      ]);
      expect((await run('ip', ['-n', one.netns, 'neigh'])).stdout).not.toContain(mac);
    });
  },
);
