/** What Mesos is asked to run: TaskInfo made from objects. */
import { parseDuration } from '#lib/api/duration.ts';
import type { Image } from '#lib/api/generated/image.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { Volume } from '#lib/api/generated/volume.ts';
import type {
  ImageImport,
  Launch,
  MachineLaunch,
  MachineNetwork,
  MachineVolume,
  VolumeOnHost,
} from '#lib/api/launch.ts';
import type { GuestPolicy } from '#lib/api/messages.ts';
import { imageTaskId } from '#lib/api/names.ts';
import { parseBytes, parseMiB } from '#lib/api/quantity.ts';
import { secretNames, seedFormatOf } from '#lib/api/seeds.ts';
import { encodeData } from '#mesos/bytes.ts';
import { reservationsOf, sumMilli, takeScalar } from '#mesos/resources.ts';
import type { ExecutorInfo, Resource, TaskInfo } from '#mesos/types.ts';
import { launchDisks } from './disks.ts';
import { installationLabels } from './framework.ts';
import { askFor, type GuestSize } from './overhead.ts';
import { isTried, launchProbes, needsProber } from './probes.ts';
import type { Room } from './room.ts';
import { segmentOf } from './segments.ts';

/** Size of an import: qemu-img convert is single-threaded and streams. */
export const importAsk: Room = { cpu: 500, mem: 512_000 };

/** Guest-visible size as the virtualmachine controller resolved it. Throws if it did not: then the machine is not ready to be placed. */
export function sizeOf(vm: VirtualMachine): GuestSize {
  const { cores, memory } = vm.status?.instanceType ?? vm.spec.resources ?? {};
  if (cores === undefined || memory === undefined)
    throw new Error(`The size of machine ${vm.metadata.namespace}/${vm.metadata.name} is not resolved yet`);
  return { cores, memoryMiB: parseMiB(memory) };
}

export function askOf(vm: VirtualMachine): Room {
  return askFor(sizeOf(vm));
}

type StatusNetwork = NonNullable<NonNullable<VirtualMachine['status']>['networks']>[number];

/** The address that its guest has just now is the site's, and no business of its host. */
function outsideNetwork({ subnet, subnetUID, vni, mac, mtu, segment }: StatusNetwork, cluster: string | undefined) {
  return {
    ...{ subnet: subnet ?? '', subnetUID: subnetUID ?? '', vni: vni ?? 0, mac: mac ?? '', mtu: mtu ?? 1500 },
    ...{ ip: '', prefix: 32, gateway: '', dns: [], domain: '', leaseSeconds: 43_200, external: true as const },
    ...(segment ? { segment: segmentOf(segment, cluster) } : {}),
  };
}

function networkOf(network: StatusNetwork, cluster: string | undefined): MachineNetwork {
  if (network.ipam === 'External') return outsideNetwork(network, cluster);
  return {
    subnet: network.subnet ?? '',
    subnetUID: network.subnetUID ?? '',
    vni: network.vni ?? 0,
    ip: network.ip ?? '',
    prefix: network.prefix ?? 32,
    gateway: network.gateway ?? '',
    mac: network.mac ?? '',
    mtu: network.mtu ?? 1500,
    dns: network.dns ?? [],
    domain: network.domain ?? '',
    leaseSeconds: network.leaseSeconds ?? 43_200,
    ...(network.egress === 'NAT' ? { egress: 'NAT' as const } : {}),
    ...(network.segment ? { segment: segmentOf(network.segment, cluster) } : {}),
    ...(network.used ? {} : { probe: true }),
  };
}

type StatusVolume = NonNullable<NonNullable<VirtualMachine['status']>['volumes']>[number];

function machineVolumes({ spec, status }: VirtualMachine): readonly MachineVolume[] {
  const mountPaths = new Map((spec.volumes ?? []).map(({ name, mountPath }) => [name, mountPath]));
  return (status?.volumes ?? []).map((volume) => machineVolume(volume, mountPaths.get(volume.name)));
}

function machineVolume(volume: StatusVolume, mountPath: string | undefined): MachineVolume {
  const { name, uid, type, glusterVolume, size, allowUnsafe, made, grant, readOnly } = volume;
  return {
    ...{ name, uid, type, glusterVolume, bytes: parseBytes(size) },
    ...(allowUnsafe ? { allowUnsafe: true as const } : {}),
    ...(made ? {} : { make: true as const }),
    ...(grant === undefined ? {} : { grant }),
    ...(readOnly ? { readOnly: true as const } : {}),
    ...(mountPath === undefined ? {} : { mountPath }),
  };
}

export function volumeOnHost({ metadata, spec }: Volume): VolumeOnHost {
  const { type, size, backend } = spec;
  return {
    ...{ uid: metadata.uid, type, glusterVolume: backend.gluster.volume, bytes: parseBytes(size) },
    ...(backend.allowUnsafe ? { allowUnsafe: true as const } : {}),
  };
}

export const guestPolicies = {
  Always: { onGuestShutdown: 'Restart', onGuestCrash: 'Restart' },
  RerunOnFailure: { onGuestShutdown: 'Finish', onGuestCrash: 'Restart' },
  Once: { onGuestShutdown: 'Finish', onGuestCrash: 'Fail' },
  Manual: { onGuestShutdown: 'Stop', onGuestCrash: 'Stop' },
  Halted: { onGuestShutdown: 'Stop', onGuestCrash: 'Stop' },
} as const satisfies Readonly<Record<VirtualMachine['spec']['runPolicy'], GuestPolicy>>;

/** One that is being deleted is not started again, whatever it was made for. */
export function guestPolicyOf({ metadata, spec }: VirtualMachine): GuestPolicy {
  return metadata.deletionTimestamp === undefined ? guestPolicies[spec.runPolicy] : guestPolicies.Halted;
}

/** The complete description of a machine for its host. `vm.status.attempt` must be the attempt to launch. */
export function machineLaunch(
  vm: VirtualMachine,
  osType: Image['spec']['osType'],
  installation: string,
): MachineLaunch {
  const { metadata, spec, status } = vm;
  const { attempt, image } = status!;
  const { cores, memoryMiB } = sizeOf(vm);
  const virtualSize = image?.virtualSize ?? 0;
  const rootSize = spec.disks?.find(({ name }) => name === 'root')?.size;
  // What is being deleted is launched to be taken over and removed: its host may have lost its power meanwhile.
  const isDeleted = metadata.deletionTimestamp !== undefined;
  const off = isDeleted || spec.runPolicy === 'Halted' || status!.requestedPower === 'Off';
  const seedFormat = seedFormatOf(spec, osType);
  const isSecret = secretNames(spec).length > 0;
  const volumes = machineVolumes(vm);
  const { networks = [] } = status!;
  const isClosed = networks.every(({ egress }) => egress === undefined);
  const disks = launchDisks(spec);
  const hasDisks = Object.keys(disks).length > 0;
  const isReader = volumes.some(({ readOnly }) => readOnly);
  const isOutside = networks.some(({ ipam }) => ipam === 'External');
  const isNew = needsProber(spec) || networks.some(({ segment }) => segment !== undefined);
  const isOld = seedFormat === 'CloudInit' && spec.networkData === undefined && !isSecret && isClosed;
  return {
    version: versionOf({ isReader, isOutside, hasDisks, isNew, hasVolumes: volumes.length > 0, isOld }),
    type: 'machine',
    installation,
    uid: metadata.uid,
    namespace: metadata.namespace!,
    name: metadata.name,
    attempt: attempt!.number!,
    taskId: attempt!.taskID!,
    adopt: attempt!.adopted === true,
    cores,
    memoryMiB,
    image: { digest: image?.digest ?? '', format: image?.format === 'raw' ? 'raw' : 'qcow2', virtualSize },
    rootDiskBytes: Math.max(virtualSize, rootSize === undefined ? 10 * 2 ** 30 : parseBytes(rootSize)),
    ...disks,
    networks: networks.map((network, index) => ({
      ...networkOf(network, attempt!.cluster),
      ...(index === 0 && isTried(spec) ? { tried: true as const } : {}),
    })),
    ...(volumes.length > 0 ? { volumes } : {}),
    hostname: status!.hostname ?? metadata.name,
    ...(isOld ? {} : { seedFormat }),
    ...(spec.userData === undefined ? {} : { userData: spec.userData }),
    ...(spec.networkData === undefined ? {} : { networkData: spec.networkData }),
    sshKeys: spec.sshKeys ?? [],
    ...(isSecret ? { secretSeed: true as const } : {}),
    osType,
    power: off ? 'Off' : 'On',
    ...guestPolicyOf(vm),
    terminationGraceMs: parseDuration(spec.terminationGracePeriod),
    ...launchProbes(spec),
    ...fenceOf(spec),
  };
}

type Traits = 'isReader' | 'isOutside' | 'hasDisks' | 'isNew' | 'hasVolumes' | 'isOld';

/** The lowest whose executors know all that is in it. */
function versionOf({ isReader, isOutside, hasDisks, isNew, hasVolumes, isOld }: Readonly<Record<Traits, boolean>>) {
  if (isReader) return 7;
  if (isOutside) return 6;
  if (hasDisks) return 5;
  if (isNew) return 4;
  if (hasVolumes) return 3;
  return isOld ? 1 : 2;
}

function fenceOf({ disconnect }: VirtualMachine['spec']): { readonly selfFenceMs?: number } {
  return disconnect?.selfFenceAfter === undefined ? {} : { selfFenceMs: parseDuration(disconnect.selfFenceAfter) };
}

export function imageImport(image: Image, attempt: number, installation: string): ImageImport {
  const { metadata, spec, status } = image;
  return {
    version: 1,
    type: 'image',
    installation,
    uid: metadata.uid,
    namespace: metadata.namespace!,
    name: metadata.name,
    attempt,
    taskId: imageTaskId(metadata.uid, attempt),
    source: spec.source,
    ...(spec.checksum === undefined ? {} : { checksum: spec.checksum }),
    ...(spec.format === undefined ? {} : { format: spec.format }),
    maxVirtualSize: parseBytes(spec.limits.maxVirtualSize),
    timeoutMs: parseDuration(spec.limits.timeout),
    ...(status?.digest === undefined ? {} : { digest: status.digest }),
  };
}

/** One task to be launched on a host. */
export interface Work {
  readonly launch: Launch;
  readonly ask: Room;
}

/**
 * What is left for tasks where the executor does not run yet: the master adds its share to the first task. The share is not reserved, on
 * whatever host: the executor has to be the same to Mesos everywhere. Undefined if it does not fit.
 */
export function withoutShare(
  available: readonly Resource[],
  { resources }: ExecutorInfo,
): readonly Resource[] | undefined {
  const isReserved = (resource: Resource) => reservationsOf(resource).length > 0;
  const cpus = takeScalar(
    available.filter((resource) => !isReserved(resource)),
    'cpus',
    sumMilli(resources, 'cpus'),
  );
  const mem = cpus && takeScalar(cpus.left, 'mem', sumMilli(resources, 'mem'));
  return mem && [...mem.left, ...available.filter(isReserved)];
}

/** TaskInfos for one agent, their resources cut out of `available`; undefined if they do not all fit. */
export function taskInfos(
  works: readonly Work[],
  agentId: string,
  executor: ExecutorInfo,
  available: readonly Resource[],
): readonly TaskInfo[] | undefined {
  let left = available;
  const tasks: TaskInfo[] = [];
  for (const { launch, ask } of works) {
    const cpus = takeScalar(left, 'cpus', ask.cpu);
    const mem = cpus && takeScalar(cpus.left, 'mem', ask.mem);
    if (!cpus || !mem) return undefined;
    left = mem.left;
    tasks.push({
      name: `${launch.namespace}/${launch.name}`,
      task_id: { value: launch.taskId },
      agent_id: { value: agentId },
      resources: [...cpus.taken, ...mem.taken],
      executor,
      data: encodeData(launch),
      labels: installationLabels(launch.installation, launch.uid),
    });
  }
  return tasks;
}
