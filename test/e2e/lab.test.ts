/**
 * Three hosts and two tenants whose subnets have the same addresses: who reaches whom, counted on the wire, and what is left in the end. Then
 * machines that are moved between them.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { marker } from '#cli/local/programs.ts';
import { tapName } from '#executor/network/names.ts';
import { Image, IPLease, Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import { processesMarked, signalProcess } from '#lib/std/process-identity.ts';
import { whyNoRealHost } from '../real-host.ts';
import { whyNot } from '../requires.ts';
import { must } from './local-cluster.ts';
import { describeMoving } from './moving.suite.ts';
import {
  type Holdings,
  placeGuestImage,
  type RealCluster,
  startRealCluster,
  untilStoreMounted,
} from './real-cluster.ts';
import { noTraces, tracer } from './traces.ts';

const bootMs = 240_000;
const everybody = 'ff:ff:ff:ff:ff:ff';

interface Guest {
  readonly vm: VirtualMachine;
  readonly tenant: string;
  readonly vni: number;
  readonly ip: string;
  readonly mac: string;
  readonly host: string;
  readonly tap: string;
}

/** Of 10.77.0.0/29 each tenant gets three addresses; .4 belongs to both. */
const tenants = { blue: ['10.77.0.5..10.77.0.6'], red: ['10.77.0.2..10.77.0.3'] };
const nobody = '10.77.0.1';
const broadcast = '10.77.0.7';

describe.skipIf(whyNoRealHost() ?? whyNot(['virsh', 'flock']))('three hosts, two subnets', { timeout: 300_000 }, () => {
  let cluster: RealCluster;
  let before: Holdings;
  let guests: readonly Guest[];
  beforeAll(async () => {
    cluster = await startRealCluster({ hosts: 3, hostCpus: 2, hostMem: '512Mi' });
    await placeGuestImage(cluster.dir);
    await untilStoreMounted(cluster);
    before = await cluster.holdings();
  }, 400_000);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, 120_000);

  const of = (tenant: string) => guests.filter((guest) => guest.tenant === tenant);
  const others = ({ tenant, ip }: Guest) => of(tenant).filter((guest) => guest.ip !== ip);
  /** Of the other tenant, with an address that nobody of its own has. */
  const strangers = (guest: Guest) =>
    guests.filter(({ tenant, ip }) => tenant !== guest.tenant && of(guest.tenant).every((own) => own.ip !== ip));
  const perTenant = Object.keys(tenants).map((tenant) => ({ tenant }));

  /** Runs them at the same time in the guest; gives the names of those that succeeded. */
  async function succeeded(guest: Guest, probes: Readonly<Record<string, string>>): Promise<readonly string[]> {
    const each = Object.entries(probes).map(([name, probe]) => `(${probe} >/dev/null 2>&1 && echo "<${name}>") &`);
    const printed = await cluster.shell(guest.vm, `( ${each.join(' ')} wait )`);
    return [...printed.matchAll(/<([^<>]+)>/g)].map(([, name]) => name!).sort();
  }
  const probesOf = (ip: string, seconds: number) => ({
    [`arp ${ip}`]: `arping -c 2 -w ${seconds} -I eth0 ${ip}`,
    [`ping ${ip}`]: `ping -c 2 -w ${seconds} ${ip}`,
    [`tcp ${ip}`]: `timeout ${seconds} wget -q -O - http://${ip}/`,
  });

  test('every tenant’s factory has one machine on every host', async () => {
    const file = join(cluster.dir, 'lab.json');
    const items = Object.entries(tenants).flatMap(([tenant, excluded]) => manifestsOf(tenant, excluded));
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await must(cluster.factoryctl('apply', '-f', file));
    for (const { tenant } of perTenant)
      await must(cluster.factoryctl('wait', 'cf/lab', '--for=condition=Ready', '-n', tenant, '--timeout=4m'));
    guests = (await Promise.all(perTenant.map(({ tenant }) => guestsOf(cluster, tenant)))).flat();
    for (const { tenant } of perTenant)
      expect(of(tenant).map(({ host }) => host)).toEqual(cluster.hosts.map(({ name }) => name));
    expect(await cluster.runningDomains()).toEqual(guests.map(({ vm }) => `cf-${vm.metadata.uid}`).sort());
  });

  test('every QEMU is nobody, with a filter on what it asks the kernel for', async () => {
    const pids = Object.values(cluster.qemus());
    expect(pids).toHaveLength(guests.length);
    for (const pid of pids) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      expect(/^Uid:\t(.*)$/m.exec(status)![1]!.split('\t')).not.toContain('0');
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
    }
  });

  test('leases are unique, within a subnet by address and over both by MAC, and guests have what they say', async () => {
    const leases = (await cluster.client.list(IPLease)).items;
    expect(leases).toHaveLength(6);
    expect(new Set(leases.map(({ metadata, spec }) => `${metadata.namespace} ${spec.ip}`)).size).toBe(6);
    expect(new Set(leases.map(({ spec }) => spec.mac)).size).toBe(6);
    expect(
      of('blue')
        .map(({ ip }) => ip)
        .sort(),
    ).toEqual(['10.77.0.2', '10.77.0.3', '10.77.0.4']);
    expect(
      of('red')
        .map(({ ip }) => ip)
        .sort(),
    ).toEqual(['10.77.0.4', '10.77.0.5', '10.77.0.6']);
    for (const { vm, ip } of guests)
      await expect
        .poll(() => cluster.consoleLog(vm), { timeout: bootMs })
        .toContain(`READY ${vm.metadata.name} ${ip}\r`);
    await count(cluster, guests);
  });

  test.skipIf(whyNot(['gluster', 'glusterd', 'glusterfs']))(
    'an image is stored once, with a copy on each host',
    async () => {
      const images = (await cluster.client.list(Image)).items;
      const digests = new Set(images.map(({ status }) => status!.digest!.replace('sha256:', '')));
      expect([images.length, digests.size]).toEqual([2, 1]);
      for (const { machineDir } of cluster.hosts)
        expect(readdirSync(join(machineDir, 'brick')).filter((name) => digests.has(name))).toEqual([...digests]);
    },
  );

  test.each(perTenant)('guests of $tenant reach each other on all hosts: ARP, ping, TCP', async ({ tenant }) => {
    await Promise.all(
      of(tenant).map(async (guest) => {
        const wanted = others(guest).map(({ ip }) => probesOf(ip, 40));
        expect(await succeeded(guest, Object.assign({}, ...wanted))).toEqual(wanted.flatMap(Object.keys).sort());
        for (const { vm, ip } of others(guest))
          expect(await cluster.shell(guest.vm, `timeout 40 wget -qO- http://${ip}/`)).toContain(vm.metadata.uid);
      }),
    );
  });

  test.each(perTenant)('guests of $tenant never reach the other’s: ARP, ping, TCP', async ({ tenant }) => {
    await Promise.all(
      of(tenant).map(async (guest) => {
        const unwanted = strangers(guest).map(({ ip }) => probesOf(ip, 3));
        expect(unwanted).toHaveLength(2);
        expect(await succeeded(guest, Object.assign({}, ...unwanted))).toEqual([]);
      }),
    );
  });

  test('a guest is heard with its own addresses only', async () => {
    const [guest] = of('blue');
    const [neighbour] = others(guest!);
    const [stranger] = strangers(guest!);
    await cluster.shell(guest!.vm, `ip addr add ${stranger!.ip}/29 dev eth0`);
    const asStranger = {
      ping: `ping -c 2 -w 3 -I ${stranger!.ip} ${neighbour!.ip}`,
      arp: `arping -c 2 -w 3 -I eth0 -s ${stranger!.ip} ${neighbour!.ip}`,
    };
    expect(await succeeded(guest!, asStranger)).toEqual([]);
    await cluster.shell(
      guest!.vm,
      `ip addr del ${stranger!.ip}/29 dev eth0; ip link set eth0 address ${stranger!.mac}`,
    );
    expect(await succeeded(guest!, probesOf(neighbour!.ip, 3))).toEqual([]);
    await cluster.shell(guest!.vm, `ip link set eth0 address ${guest!.mac}`);
    expect(await succeeded(guest!, { ping: `ping -c 3 -w 40 ${neighbour!.ip}` })).toEqual(['ping']);
  });

  test('what a guest tells everybody comes to its own subnet alone, on the wire and on the hosts', async () => {
    const [blue, red] = perTenant.map(({ tenant }) => of(tenant)[0]!);
    const counted = await counts(cluster);
    for (const guest of [blue!, red!])
      await cluster.shell(guest.vm, `arping -c 3 -w 4 -I eth0 ${nobody}; ping -c 3 -w 4 ${broadcast}`);
    const now = await counts(cluster);
    for (const from of guests)
      for (const to of guests.filter(({ tap }) => tap !== from.tap)) {
        const grown =
          (now.get(`${from.mac} to all at ${to.tap}`) ?? 0) - counted.get(`${from.mac} to all at ${to.tap}`)!;
        if (from.tenant === to.tenant && [blue, red].includes(from)) expect(grown).toBeGreaterThanOrEqual(6);
        // Of everything since the guests were up: not one frame.
        if (from.tenant !== to.tenant) expect(now.get(`${from.mac} at ${to.tap}`)).toBe(0);
      }
    for (const { vni, mac, ip, tenant } of guests) {
      for (const other of guests.filter((each) => each.tenant !== tenant)) {
        expect(now.get(`${other.mac} in ${vni}`)).toBe(0);
        if (of(tenant).every((own) => own.ip !== other.ip)) expect(now.get(`${other.ip} in ${vni}`)).toBe(0);
      }
      expect(now.get(`${mac} in ${vni}`)).toBeGreaterThan(0);
      expect(now.get(`${ip} in ${vni}`)).toBeGreaterThan(0);
    }
  });

  test('deleting everything leaves what there was before', async () => {
    const during = await cluster.holdings();
    for (const kind of ['domains', 'machines', 'leases'] as const) expect(during[kind]).toHaveLength(6);
    for (const kind of Object.keys(before) as (keyof Holdings)[])
      if (kind !== 'mounts') expect(during[kind].length, kind).toBeGreaterThan(before[kind].length);
    await uncount(cluster);
    for (const { tenant } of perTenant) await must(cluster.factoryctl('delete', 'namespace', tenant, '--timeout=3m'));
    await expect.poll(() => cluster.holdings(), { timeout: 90_000, interval: 500 }).toEqual(before);
  });

  describeMoving(() => cluster);

  test('local down after kill -9 of everything leaves nothing', async () => {
    const traces = tracer(cluster.dir);
    for (const { pid } of processesMarked(marker, cluster.dir)) signalProcess(pid, 'SIGKILL');
    expect(traces().namespaces).toHaveLength(4);
    await must(cluster.factoryctl('local', 'down', '--dir', cluster.dir));
    expect(traces()).toEqual(noTraces);
  });
});

function manifestsOf(namespace: string, excludeIPs: readonly string[]): readonly object[] {
  const apiVersion = 'computefactory.io/v1alpha1';
  const spec = {
    image: { name: 'tiny' },
    networks: [{ subnet: 'lab' }],
    terminationGracePeriod: '5s',
    placement: { antiAffinity: [{ key: 'host' }] },
  };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    {
      ...{ apiVersion, kind: 'Subnet', metadata: { name: 'lab', namespace } },
      spec: { cidr: '10.77.0.0/29', excludeIPs, releaseCooldown: '0s' },
    },
    {
      ...{ apiVersion, kind: 'Image', metadata: { name: 'tiny', namespace } },
      spec: { source: { file: { path: 'tiny.img' } } },
    },
    {
      ...{ apiVersion, kind: 'ComputeFactory', metadata: { name: 'lab', namespace } },
      spec: {
        capacity: { unit: 'Instances', target: 3 },
        shapes: [{ cores: 1, memory: '96Mi' }],
        template: { spec },
      },
    },
  ];
}

/** In the order of their hosts. */
async function guestsOf({ client }: RealCluster, namespace: string): Promise<readonly Guest[]> {
  const [machines, leases, subnet] = await Promise.all([
    client.list(VirtualMachine, { namespace }),
    client.list(IPLease, { namespace }),
    client.get(Subnet, { name: 'lab', namespace }),
  ]);
  const vni = subnet.status!.vni!;
  return machines.items
    .map((vm) => {
      const { uid } = vm.metadata;
      const { ip, mac } = leases.items.find(({ spec }) => spec.holderUID === uid)!.spec;
      return { vm, tenant: namespace, vni, ip, mac: mac!, host: vm.status!.attempt!.host!, tap: tapName(uid, vni) };
    })
    .sort((a, b) => a.host.localeCompare(b.host));
}

/**
 * Counts from now on: in front of every tap what each guest has sent, and to everybody; between the hosts, by subnet, the inner Ethernet
 * and IPv4 source (behind 8 bytes of UDP and 8 of VXLAN).
 */
async function count({ hosts, onWire }: RealCluster, guests: readonly Guest[]): Promise<void> {
  const table = (hook: string, rules: readonly string[]) =>
    `table bridge lab {\nchain c {\ntype filter hook ${hook} priority 10;\n${rules.join('\n')}\n}\n}\n`;
  const counter = (match: string, name: string) => `${match} counter comment "${name}"`;
  for (const { name, exec } of hosts) {
    const rules = guests
      .filter(({ host }) => host === name)
      .flatMap(({ tap }) =>
        guests.flatMap(({ mac }) => [
          counter(`oifname "${tap}" ether saddr ${mac}`, `${mac} at ${tap}`),
          counter(`oifname "${tap}" ether saddr ${mac} ether daddr ${everybody}`, `${mac} to all at ${tap}`),
        ]),
      );
    await exec(table('postrouting', rules), 'nft', '-f', '-');
  }
  const number = (parts: readonly string[], base: number) =>
    `0x${parts.map((part) => Number.parseInt(part, base).toString(16).padStart(2, '0')).join('')}`;
  const rules = [...new Set(guests.map(({ vni }) => vni))].flatMap((vni) => {
    const frame = `udp dport 4789 @th,96,24 ${vni}`;
    const ips = [...new Set(guests.map(({ ip }) => ip))];
    return [
      ...guests.map(({ mac }) => counter(`${frame} @th,176,48 ${number(mac.split(':'), 16)}`, `${mac} in ${vni}`)),
      ...ips.map((ip) => counter(`${frame} @th,336,32 ${number(ip.split('.'), 10)}`, `${ip} in ${vni}`)),
    ];
  });
  await onWire(table('forward', rules), 'nft', '-f', '-');
}

async function counts({ hosts, onWire }: RealCluster): Promise<ReadonlyMap<string, number>> {
  const tables = [onWire, ...hosts.map(({ exec }) => exec)].map((exec) =>
    exec('', 'nft', 'list', 'table', 'bridge', 'lab'),
  );
  const found = [
    ...(await Promise.all(tables)).join('').matchAll(/counter packets (\d+) bytes \d+ comment "([^"]+)"/g),
  ];
  return new Map(found.map(([, packets, name]) => [name!, Number(packets)]));
}

async function uncount({ hosts, onWire }: RealCluster): Promise<void> {
  for (const exec of [onWire, ...hosts.map(({ exec }) => exec)])
    await exec('', 'nft', 'delete', 'table', 'bridge', 'lab');
}
