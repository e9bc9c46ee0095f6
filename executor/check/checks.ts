/** Each check of `factory-executor --check`, in the order in which one would put a host right. */
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '#lib/std/errors.ts';
import type { ExecutorConfig } from '../config.ts';
import { wallsHere } from '../confine.ts';
import { runCommand } from '../libvirt/command.ts';
import { probeKvm } from '../libvirt/kvm-probe.ts';
import { Libvirt } from '../libvirt/libvirt.ts';
import { readLimits } from '../libvirt/limits.ts';
import { type Check, failed, ok, warning } from './check.ts';
import { directory, isShared } from './directories.ts';
import { imageCache } from './image-cache.ts';
import { missingPrograms, packageOf } from './programs.ts';
import { volumes } from './volumes.ts';

const gib = 1024 ** 3;
/** Of a small machine's disk: with less, the first import fails. */
const freeBytesMin = 10 * gib;

const user: Check = {
  name: 'user',
  async look() {
    if (process.getuid?.() === 0) return [ok('root')];
    return [failed('Bridges, firewall rules and libvirt need root: have the Mesos agent start executors as root')];
  },
};

const programs: Check = {
  name: 'programs',
  async look() {
    const missing = missingPrograms([...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']);
    if (missing.length === 0) return [ok(Object.keys(packageOf).join(', '))];
    const packages = [...new Set(missing.map((program) => packageOf[program]))].join(' ');
    return [failed(`${missing.join(', ')} not found. On Debian: apt-get install ${packages}`)];
  },
};

const root: Check = {
  name: 'root',
  async look(config) {
    await directory(config.root);
    const { bavail, bsize } = await statfs(config.root);
    const free = `${config.root} with ${((bavail * bsize) / gib).toFixed(0)} GiB free`;
    return [
      bavail * bsize < freeBytesMin ? warning(`${free}: disks of machines are here, and soon fill it`) : ok(free),
    ];
  },
};

const images: Check = {
  name: 'imageStore',
  async look({ imageStore }) {
    await directory(imageStore);
    if (await isShared(imageStore)) return [ok(`${imageStore}, shared`)];
    const why =
      'is a directory of this host alone: on a cluster of several hosts mount the same GlusterFS volume there';
    return [warning(`${imageStore} ${why}`)];
  },
};

const imports: Check = {
  name: 'importDir',
  async look({ importDir }) {
    await directory(importDir);
    return [ok(`${importDir}, for images with a file source`)];
  },
};

const libvirt: Check = {
  name: 'libvirt',
  async look({ libvirtSocket }) {
    await using connection = new Libvirt({ socket: libvirtSocket });
    try {
      const { libvirt, qemu } = await connection.versions();
      return [ok(`libvirt ${libvirt}, QEMU ${qemu}`)];
    } catch (error) {
      return [failed(messageOf(error))];
    }
  },
};

const kvm: Check = {
  name: 'kvm',
  async look(config) {
    if (config.kvm !== undefined) return [ok(`not tried: the configuration says ${config.kvm}`)];
    const { boots, why } = await probeKvm({ file: join(config.root, 'kvm.json'), bootId: await bootId(config) });
    return [
      boots
        ? ok(why)
        : warning(`Guests are emulated, some ten times slower. Tried was ${why[0]!.toLowerCase()}${why.slice(1)}`),
    ];
  },
};

const limits: Check = {
  name: 'limits',
  async look() {
    const [mountinfo, status] = await Promise.all(
      ['mountinfo', 'status'].map(async (name) => await readFile(`/proc/self/${name}`, 'utf8')),
    );
    const { why } = readLimits(mountinfo!, status!);
    return why.length === 0 ? [ok('guests cannot take more than their tasks were given')] : why.map(warning);
  },
};

const walls: Check = {
  name: 'walls',
  async look() {
    const found = await wallsHere();
    if (found === 'all') return [ok("tools that read strangers' images run as nobody, without network")];
    return [
      warning(
        `Tools that read strangers' images run behind ${found} only: this host permits no namespaces of network and processes`,
      ),
    ];
  },
};

const firewall: Check = {
  name: 'firewall',
  async look({ netns }) {
    // Asks the kernel whether it would take such rules, and takes none.
    const rules =
      'table bridge cf-check { chain forward { type filter hook forward priority 0; ether type arp drop; }; }';
    await runCommand('nft', ['--check', '--file', '-'], { netns, input: rules });
    return [ok('nftables for bridges')];
  },
};

const tunnel: Check = {
  name: 'tunnel',
  async look({ tunnelAddress, netns }) {
    if (tunnelAddress === undefined) return [warning('No tunnelAddress: a subnet reaches only machines of this host')];
    const shown = await runCommand('ip', ['-json', 'addr', 'show'], { netns });
    const links = JSON.parse(shown) as readonly {
      ifname: string;
      mtu: number;
      addr_info: readonly { local?: string }[];
    }[];
    const link = links.find(({ addr_info }) => addr_info.some(({ local }) => local === tunnelAddress));
    if (!link) return [failed(`No interface of this host has the tunnelAddress ${tunnelAddress}: correct it`)];
    return [ok(`${tunnelAddress} on ${link.ifname}, mtu ${link.mtu}`)];
  },
};

const segments: Check = {
  name: 'segments',
  async look({ segments: { bridges, nics } = { bridges: [], nics: [] }, netns }) {
    if (bridges.length + nics.length === 0) return [ok('guests are put on no network of the site')];
    const shown = await runCommand('ip', ['-json', 'link', 'show'], { netns });
    const there = new Set((JSON.parse(shown) as readonly { ifname: string }[]).map(({ ifname }) => ifname));
    const missing = [...bridges, ...nics].filter((name) => !there.has(name));
    if (missing.length > 0) return [failed(`This host has no ${missing.join(', ')}: make it, or take it off the list`)];
    return [ok([...bridges, ...nics].join(', '))];
  },
};

async function bootId({ bootIdFile }: ExecutorConfig): Promise<string> {
  return (await readFile(bootIdFile, 'utf8')).trim();
}

const realMachines = [
  programs,
  root,
  images,
  imageCache,
  imports,
  libvirt,
  kvm,
  limits,
  walls,
  firewall,
  tunnel,
  segments,
  volumes,
];

/** An imitated hypervisor needs nothing but its directories. */
export function checksOf({ hypervisor }: ExecutorConfig): readonly Check[] {
  return hypervisor === 'sim' ? [root, images, imageCache, imports] : [user, ...realMachines];
}
