/** Whole machines on a pretended host: what makes, connects and removes them, all real. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import type { DomainSpec, HostDevices, Hypervisor, MachineNics } from '../hypervisor.ts';
import { shell } from '../testing/guest-shell.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';

const bootMs = 60_000;
const network = {
  ...{ subnet: 's', subnetUID: 'u', prefix: 24, gateway: '10.66.10.1', mtu: 1450 },
  ...{ dns: ['10.66.10.2'], domain: 'lab.example', leaseSeconds: 3600 },
};

describe.skipIf(whyNoRealHost() !== undefined)('machines', { timeout: 180_000 }, () => {
  let host: RealHost;
  let hypervisor: Hypervisor;
  let devices: HostDevices;
  beforeAll(async () => {
    host = await openRealHost();
    hypervisor = libvirtHypervisor({ socket: host.socket, installation: 'i' });
    devices = libvirtDevices({ root: host.root, netns: host.netns });
  }, 120_000);
  afterAll(async () => {
    await hypervisor?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  async function run(last: number, vni: number, hostname = `web-${last}`, cable = {}): Promise<DomainSpec> {
    const uid = randomUUID();
    const metaData = `instance-id: ${uid}\nlocal-hostname: ${hostname}\n`;
    const seed = { label: 'cidata', files: { 'meta-data': metaData, 'user-data': '#cloud-config\n' } };
    const image = { path: host.image, format: 'qcow2' } as const;
    const disks = await devices.makeDisks({ uid, image, rootDiskBytes: 64 * 2 ** 20, seed });
    const attached = await devices.attachNetworks(nicsOf(uid, hostname, last, vni));
    const nics = attached.map((nic) => ({ ...nic, ...cable }));
    const spec = {
      uid,
      installation: 'i',
      namespace: 'n',
      name: hostname,
      attempt: 1,
      cores: 1,
      memoryMiB: 96,
      ...disks,
      nics,
    };
    await hypervisor.define({ ...spec, ...consolePaths(host.root, uid) });
    await hypervisor.start(uid);
    return { ...spec, ...consolePaths(host.root, uid) };
  }

  function nicsOf(uid: string, hostname: string, last: number, vni: number): MachineNics {
    const own = { vni, ip: `10.66.10.${last}`, mac: `52:54:00:00:00:${last}` };
    return { uid, hostname, networks: [{ ...network, ...own }] };
  }

  async function remove({ uid }: DomainSpec): Promise<void> {
    await hypervisor.destroy(uid);
    await hypervisor.undefine(uid);
    await devices.detachNetworks(uid);
    await devices.removeDisks(uid);
  }

  const printed = async ({ consoleLog }: DomainSpec, text: string | RegExp) =>
    await vi.waitFor(() => expect(readFileSync(consoleLog, 'latin1')).toMatch(text), bootMs);

  test('boot with seed and DHCP, same subnet reachable, other subnet and forged address not, nothing left', async () => {
    const [first, second, apart] = [await run(11, 4097), await run(12, 4097), await run(13, 4098, 'ignore')];
    await printed(first, 'READY web-11 10.66.10.11');
    await printed(second, 'READY web-12 10.66.10.12');
    await printed(apart, 'READY ignore 10.66.10.13'); // the word by which dnsmasq refuses a guest

    expect(await shell(first, 'wget -qO- http://10.66.10.12/')).toContain(`"instance":"${second.uid}"`);
    expect(await shell(first, 'ping -c 1 -w 3 10.66.10.12')).toContain('1 packets received');
    // The same addresses on another subnet are other machines, and nobody answers.
    expect(await shell(first, 'ping -c 1 -w 2 10.66.10.13')).toContain(' 0 packets received');
    expect(await shell(first, 'cat /etc/resolv.conf; ip link show eth0')).toMatch(
      /nameserver 10\.66\.10\.2[\s\S]*mtu 1450/,
    );
    await shell(second, 'ip addr add 10.66.10.77/24 dev eth0');
    expect(await shell(second, 'ping -c 1 -w 2 -I 10.66.10.77 10.66.10.11')).toContain(' 0 packets received');
    // The host has an address on the bridge, for DHCP alone.
    expect(await shell(first, 'ip route add 169.254.169.253 dev eth0; ping -c 1 -w 2 169.254.169.253')).toContain(
      ' 0 packets received',
    );

    expect([...(await devices.owners())].sort()).toEqual([first.uid, second.uid, apart.uid].sort());
    await remove(second);
    await remove(apart);
    expect(await linkNames()).toContain('cfb1001');
    await remove(first);
    await remove(first);
    expect(await leftovers()).toEqual({ domains: [], owners: [], links: ['lo'], guards: '', dnsmasq: 0, files: [] });
  });

  test('a guest that starts unplugged has no carrier until it is plugged in, and keeps it over a reset', async () => {
    const machine = await run(31, 6, 'web-31', { unplugged: true });
    await printed(machine, 'BOOTS 1\r');
    // It asks for its address every second.
    await systemClock.sleep(3000);
    expect(await framesFrom(machine)).toBe(0);
    await hypervisor.plug(machine.uid);
    await hypervisor.plug(machine.uid);
    await printed(machine, 'READY web-31 10.66.10.31');
    await hypervisor.reset(machine.uid);
    await printed(machine, 'BOOTS 2\r');
    await printed(machine, /READY web-31[\s\S]*READY web-31/);
    await remove(machine);
    await expect(hypervisor.plug(machine.uid)).rejects.toThrow('libvirt has no such domain');
  });

  test('disks outlive a reset and a new definition; a machine attached again finds its DHCP server', async () => {
    const machine = await run(21, 5);
    await printed(machine, 'BOOTS 1\r');
    await printed(machine, 'READY web-21 10.66.10.21');
    const before = await dnsmasqPids();
    // As a restarted executor would: everything again.
    const again = libvirtDevices({ root: host.root, netns: host.netns });
    const image = { path: host.image, format: 'qcow2' } as const;
    await again.makeDisks({
      uid: machine.uid,
      image,
      rootDiskBytes: 64 * 2 ** 20,
      seed: { label: 'cidata', files: { 'meta-data': 'local-hostname: web-21\n' } },
    });
    expect(await again.attachNetworks(nicsOf(machine.uid, 'web-21', 21, 5))).toEqual(machine.nics);
    expect(await dnsmasqPids()).toEqual(before);
    await hypervisor.reset(machine.uid);
    await printed(machine, 'BOOTS 2\r');
    // The network is made anew after the host's power came back.
    await host.powerCycle();
    await again.attachNetworks(nicsOf(machine.uid, 'web-21', 21, 5));
    await hypervisor.start(machine.uid);
    await printed(machine, /BOOTS 3\r[\s\S]*READY web-21 10\.66\.10\.21/);
    await remove(machine);
    expect(await leftovers()).toMatchObject({ domains: [], links: ['lo'], dnsmasq: 0, files: [] });
  });

  test('a hostname that would be a line of its own in a file of dnsmasq is refused', async () => {
    const attach = devices.attachNetworks(nicsOf(randomUUID(), 'a\nb', 31, 6));
    await expect(attach).rejects.toThrow('hostname');
    expect(await devices.owners()).toEqual([]);
  });

  async function framesFrom({ nics: [nic] }: DomainSpec): Promise<number> {
    const [tap] = JSON.parse(await host.exec('ip', '-s', '-json', 'link', 'show', nic!.tap));
    return tap.stats64.rx.packets;
  }

  const linkNames = async () =>
    (JSON.parse(await host.exec('ip', '-json', 'link')) as { ifname: string }[]).map(({ ifname }) => ifname);
  const dnsmasqPids = async () =>
    (await host.processes()).filter(({ name }) => name === 'dnsmasq').map(({ pid }) => pid);

  async function leftovers() {
    const { ours } = await hypervisor.list();
    const files = ['vms', 'network'].flatMap((folder) =>
      readdirSync(join(host.root, folder), { recursive: true, encoding: 'utf8' }),
    );
    return {
      domains: ours,
      owners: await devices.owners(),
      links: await linkNames(),
      guards: await host.exec('nft', 'list', 'ruleset'),
      dnsmasq: (await dnsmasqPids()).length,
      files,
    };
  }
});
