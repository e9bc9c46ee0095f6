/** Probes of a host into its subnets: guests are namespaces, as everywhere here. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { whyNot } from '#test/requires.ts';
import { MachineError, NoWayError } from '../hypervisor.ts';
import { tryProbe } from '../probes/try-probe.ts';
import { addressOf, counting, type Guest, openWorld, type PretendHost, run } from '../testing/subnet-hosts.ts';
import { dial, knock } from './reach.ts';
import { routerName } from './router.ts';

const gateway = '10.66.0.1';
const tried = { gateway, tried: true as const };
const soon = () => AbortSignal.timeout(2_000);

async function serves({ netns }: Guest, port: number) {
  const server = spawn('ip', ['netns', 'exec', netns, 'busybox', 'httpd', '-f', '-p', `${port}`, '-h', '/proc/self'], {
    stdio: 'ignore',
  });
  await expect
    .poll(async () => (await run('ip', ['netns', 'exec', netns, 'busybox', 'netstat', '-ltn'])).stdout)
    .toContain(`:${port} `);
  return {
    async [Symbol.asyncDispose]() {
      server.kill();
      await once(server, 'exit');
    },
  };
}

const knocks = async ({ netns }: PretendHost, { network }: Guest, port: number) =>
  await knock(network, port, soon(), netns).then(
    () => 'open',
    (error) => (error instanceof MachineError ? error.message : String(error)),
  );

const answers = async (netns: string, to: string) =>
  await run('ip', ['netns', 'exec', netns, 'ping', '-c', '1', '-W', '1', to]).then(
    () => true,
    () => false,
  );

describe.skipIf(
  whyNot(['ip', 'bridge', 'nft', 'dnsmasq', 'busybox', 'ping', 'nsenter', 'sysctl'], { root: true }) !== undefined,
)('the way of probes', { timeout: 120_000 }, () => {
  test('leads to guests of subnets with the same addresses, each by its own, and says what they answer', async () => {
    await using world = await openWorld(1);
    const [host] = world.hosts as [PretendHost];
    const before = await host.traces();
    const [one, other] = [await host.join(11, 300, tried), await host.join(11, 301, tried)];
    {
      await using _ = await serves(other, 80);
      expect(await knocks(host, other, 80)).toBe('open');
      expect(await knocks(host, other, 81)).toBe('Nothing listens at port 81');
      expect(await knocks(host, one, 80)).toBe('Nothing listens at port 80');
      const times = { initialDelayMs: 0, periodMs: 1, timeoutMs: 5000, successThreshold: 1, failureThreshold: 1 };
      const devices = {
        knock: async () => undefined,
        dial: (network: MachineNetwork, port: number, signal: AbortSignal) => dial(network, port, signal, host.netns),
      };
      const http = (path: string) => ({ port: 80, path, scheme: 'HTTP' as const, headers: [] });
      const asks = async (path: string) =>
        await tryProbe(
          { hypervisor: { agent: async () => undefined }, devices, clock: systemClock },
          { uid: 'u', network: other.network },
          { ...times, http: http(path) },
          new AbortController().signal,
        );
      expect(await asks('/limits')).toEqual({ outcome: 'Succeeded', message: '' });
      expect(await asks('/nothing')).toEqual({ outcome: 'Failed', message: 'The answer has the status 404' });
    }
    await counting(other.netns, 'ip', 'input', ['drop']);
    expect(await knocks(host, other, 80)).toBe('Nobody answers at port 80 in time');
    // Of none of the tries is anything left.
    const { stdout } = await run('ip', ['netns', 'pids', routerName(301, host.netns)]);
    expect(stdout).toBe('');
    await host.leave(one);
    await host.leave(other);
    expect(await host.traces()).toEqual([...before, 'network']);
    const { stdout: names } = await run('ip', ['netns', 'list']);
    for (const vni of [300, 301]) expect(names).not.toContain(routerName(vni, host.netns));
  });

  test('is one way: nobody else comes in by it, and guests find nobody there', async () => {
    await using world = await openWorld(2);
    const [one, two] = world.hosts as [PretendHost, PretendHost];
    const [guest, far] = [await one.join(11, 300, tried), await two.join(12, 300, { gateway })];
    await world.connect(300, 1, 2);
    expect(await far.reaches(guest.ip)).toBe(true);
    for (const { netns } of [guest, far]) await run('ip', ['-n', netns, 'route', 'add', 'default', 'via', gateway]);
    await using _ = await serves(guest, 80);
    expect(await knocks(one, guest, 80)).toBe('open');
    for (const closed of [gateway, addressOf(1), addressOf(2), '169.254.169.253'])
      expect([closed, await answers(guest.netns, closed)]).toEqual([closed, false]);
    expect(await answers(far.netns, gateway)).toBe(false);
    for (const { netns } of [one, two]) expect(await answers(netns, guest.ip)).toBe(false);
    // Who wants to go further is told at once.
    const since = performance.now();
    const ping = run('ip', ['netns', 'exec', guest.netns, 'ping', '-c', '1', '-W', '10', '9.9.9.9']);
    await expect(ping).rejects.toMatchObject({ stdout: expect.stringContaining('Net Unreachable') });
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  test('goes on where the subnet has a way out, and is not there for one without a gateway', async () => {
    await using world = await openWorld(1);
    const [host] = world.hosts as [PretendHost];
    await run('ip', ['-n', host.netns, 'route', 'add', 'default', 'via', addressOf(254)]);
    const [closed, plain] = [await host.join(11, 300, tried), await host.join(12, 301, { tried: true })];
    await using _ = await serves(closed, 80);
    expect(await knocks(host, closed, 80)).toBe('open');
    const open = await host.join(13, 300, { gateway, egress: 'NAT' });
    expect(await knocks(host, closed, 80)).toBe('open');
    await host.networks.attach({ uid: closed.uid, hostname: 'web', networks: [closed.network] });
    expect(await answers(open.netns, gateway)).toBe(true);
    expect(await knocks(host, closed, 80)).toBe('open');
    await expect(knock(plain.network, 80, soon(), host.netns)).rejects.toThrow(NoWayError);
  });

  test('is looked at before a guest is given up for what its host did to it', async () => {
    await using world = await openWorld(1);
    const [host] = world.hosts as [PretendHost];
    const { uid, network } = await host.join(11, 300, tried);
    const whole = async () => await host.networks.requireWhole({ uid, hostname: 'web', networks: [network] });
    await whole();
    const link = async (...args: string[]) => await run('ip', ['-n', host.netns, 'link', ...args]);
    const { stdout } = await link('show');
    const tap = /(cft[0-9a-f]+)@/.exec(stdout)![1]!;
    await link('set', tap, 'down');
    await expect(whole()).rejects.toThrow(`${tap} is not up`);
    await link('set', tap, 'up');
    await whole();
    await link('set', tap, 'nomaster');
    await expect(whole()).rejects.toThrow('not in cfb12c');
    await link('set', tap, 'master', 'cfb12c');
    await link('del', 'cfg12c');
    await expect(whole()).rejects.toThrow('router of subnet render');
    await host.networks.attach({ uid, hostname: 'web', networks: [network] });
    await whole();
  });
});
