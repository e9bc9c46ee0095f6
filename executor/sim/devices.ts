/** Disks and networks of the imitation: small files with the right names, so that what is left behind can be counted. */
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MachineNetwork, MachineVolume } from '#lib/api/launch.ts';
import { isThere, writeFileAtomic } from '#lib/std/files.ts';
import { consolePaths } from '../console/paths.ts';
import type { DomainSpec, HostDevices, HostVolumes, MachineDisks, MachineNics, MadeDisks } from '../hypervisor.ts';
import type { Seed } from '../seed/seed.ts';
import { type SimDisk, simCopies } from './copies.ts';
import { JsonDirectory } from './files.ts';
import { simPorts } from './ports.ts';

const seedName = 'seed.iso';

export interface SimNics {
  readonly hostname: string;
  readonly networks: readonly MachineNetwork[];
}

export function simDevices(
  root: string,
  nics: JsonDirectory<SimNics>,
  glusterVolumes: readonly string[] = [],
  isUp: (uid: string) => boolean = () => true,
): HostDevices {
  const directoryOf = (uid: string): string => join(root, 'vms', uid);
  const volumes = simVolumes(root, glusterVolumes);
  return {
    makeDisks: async (machine) => await makeDisks(directoryOf(machine.uid), machine),
    // Nothing runs in an imitated guest that could write to its disk.
    requireOwnDisk: async () => undefined,
    makeSeed: async (uid, seed) => void (await writeSeed(directoryOf(uid), seed)),
    async removeDisks(uid) {
      const { consoleSocket, vncSocket } = consolePaths(root, uid);
      for (const socket of [consoleSocket, vncSocket]) await rm(socket, { force: true });
      await rm(directoryOf(uid), { recursive: true, force: true });
    },
    async backings(uid) {
      const uids = uid === undefined ? await readdir(join(root, 'vms')).catch(() => []) : [uid];
      const disks = await Promise.all(
        uids.map((each) => readFile(join(directoryOf(each), 'root.qcow2'), 'utf8').catch(() => undefined)),
      );
      const pathOf = (disk: string) => (JSON.parse(disk) as SimDisk).backing?.path ?? [];
      return [...new Set(disks.flatMap((disk) => (disk === undefined ? [] : pathOf(disk))))];
    },
    async attachNetworks(machine) {
      nics.set(machine.uid, { hostname: machine.hostname, networks: machine.networks });
      return machine.networks.map((network, index) => nicOf(machine, network, index));
    },
    ...simPorts((vni, ip) =>
      [...nics.entries()].some(
        ([uid, { networks }]) => networks.some((n) => n.vni === vni && n.ip === ip) && isUp(uid),
      ),
    ),
    requireWhole: async () => undefined,
    // Nor could anybody answer.
    requireFree: async () => undefined,
    async detachNetworks(uid) {
      nics.delete(uid);
    },
    // Nothing runs in an imitated guest that could reach another.
    setPeers: async () => undefined,
    volumes,
    copies: simCopies(directoryOf),
    async owners() {
      const withDisks = await readdir(join(root, 'vms')).catch(() => []);
      return [...new Set([...withDisks, ...[...nics.entries()].map(([uid]) => uid), ...(await volumes.owners())])];
    },
  };
}

/** Whatever is asked for is there, and well: imitated guests write nothing. What is kept is who has what. */
function simVolumes(root: string, names: readonly string[]): HostVolumes {
  const attached = new JsonDirectory<readonly MachineVolume[]>(join(root, 'sim', 'volumes'));
  return {
    names,
    make: async ({ bytes }) => bytes,
    fill: async ({ bytes }) => bytes,
    remove: async () => undefined,
    strays: async () => ({ count: 0, strays: [], unmarked: 0 }),
    discard: async () => undefined,
    async attach({ uid, volumes }) {
      if (volumes.length > 0) attached.set(uid, volumes);
      return volumes.map(({ name, type, uid: volume, readOnly }) => ({
        ...{ name, type, path: join(root, 'sim', 'disks', volume) },
        ...(type === 'Disk' && readOnly ? { readOnly } : {}),
      }));
    },
    detach: async (uid) => attached.delete(uid),
    owners: async () => [...attached.entries()].map(([uid]) => uid),
    async look() {
      const held = new Set(
        [...attached.entries()].flatMap(([, volumes]) => volumes.map((volume) => volume.glusterVolume)),
      );
      return [...held].map((name) => ({ name, usable: true, reason: 'Healthy', message: '' }));
    },
  };
}

async function makeDisks(
  directory: string,
  { image, rootDiskBytes, disks = [], seed }: MachineDisks,
): Promise<MadeDisks> {
  await access(image.path);
  await mkdir(directory, { recursive: true });
  const rootDisk = join(directory, 'root.qcow2');
  await makeDisk(rootDisk, { backing: image, virtualSize: rootDiskBytes });
  const dataDisks = disks.map(({ bytes, ...disk }) => ({ ...disk, path: join(directory, `disk-${disk.name}.qcow2`) }));
  for (const [index, { path }] of dataDisks.entries()) await makeDisk(path, { virtualSize: disks[index]!.bytes });
  const seedDisk = seed ? await writeSeed(directory, seed) : join(directory, seedName);
  await access(seedDisk);
  return { rootDisk, dataDisks, seedDisk };
}

/** What is there holds the machine's data, and has its name only when it is whole, as a real one. */
async function makeDisk(file: string, disk: SimDisk): Promise<void> {
  if (!(await isThere(file))) writeFileAtomic(file, JSON.stringify(disk));
}

async function writeSeed(directory: string, seed: Seed): Promise<string> {
  await mkdir(directory, { recursive: true });
  const file = join(directory, seedName);
  await writeFile(file, JSON.stringify(seed), { mode: 0o600 });
  return file;
}

function nicOf({ uid }: MachineNics, { mac, mtu, vni }: MachineNetwork, index: number): DomainSpec['nics'][number] {
  return { tap: `t${uid.slice(0, 8)}-${index}`, bridge: `cfbr${vni}`, mac, mtu };
}
