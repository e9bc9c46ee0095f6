/** The domain's XML: written from a DomainSpec, read back for what libvirt does not tell otherwise. Built by a library, never joined. */
import type { DiskLimits } from '#lib/api/launch.ts';
import type { DataDisk, DomainSpec, DomainVolume } from '../hypervisor.ts';
import type { MoveShape } from '../move-text.ts';
import type { BackingFile } from './backing-file.ts';
import { diskLimitElements, type Limits, limitElements, translationCacheMiB } from './limits.ts';
import { requireSafeSpec } from './safe-spec.ts';
import { buildXml, type Element, parseXml } from './xml.ts';

/** Namespace of our metadata: what tells our domains from those of others. */
const metadataNamespace = 'https://computefactory.io/xmlns/libvirt/domain/1';
/** sun_path of Linux without its final zero. */
const socketPathBytesMax = 107;
/** Enough for 1920 x 1080. */
const videoKiB = 16_384;

const machineTypePattern = /^pc(-i440fx-\d{1,3}\.\d{1,3})?$/;

export function domainName(uid: string): string {
  return `cf-${uid}`;
}

/** What of the host a domain's XML depends on. */
export interface HostSide {
  readonly kvm: boolean;
  readonly limits: Limits;
  /** Of a guest that comes from another host; the newest of its kind that QEMU knows unless given. */
  readonly machine?: string | undefined;
}

/**
 * `backing` is what the root overlay stands on. It is written out so that libvirt neither guesses formats nor hands the image, which
 * many machines share, to QEMU's user. Throws a TypeError that names the field if there is a value that cannot be in it.
 */
export function domainXml(spec: DomainSpec, backing: BackingFile | undefined, host: HostSide): string {
  requireSafeSpec(spec, backing);
  const { kvm, limits, machine = 'pc' } = host;
  if (!machineTypePattern.test(machine)) throw new TypeError(`Cannot define a domain with the machine type ${machine}`);
  const domain: Element = {
    '@type': kvm ? 'kvm' : 'qemu',
    name: domainName(spec.uid),
    uuid: spec.uid,
    metadata: { 'cf:machine': metadata(spec) },
    memory: { '@unit': 'MiB', '#text': String(spec.memoryMiB) },
    ...(shared(spec).length > 0 ? { memoryBacking } : {}),
    ...limitElements(spec, kvm, limits),
    vcpu: { '#text': String(spec.cores) },
    os: { type: { '@arch': 'x86_64', '@machine': machine, '#text': 'hvm' }, boot: { '@dev': 'hd' } },
    features: {
      acpi: {},
      ...(kvm ? {} : { tcg: { 'tb-cache': { '@unit': 'MiB', '#text': String(translationCacheMiB) } } }),
    },
    ...(kvm ? { cpu: { '@mode': 'host-passthrough' } } : {}),
    clock: { '@offset': 'utc' },
    on_poweroff: 'destroy',
    on_reboot: 'restart',
    on_crash: 'destroy',
    devices: devices(spec, backing),
  };
  return buildXml({ domain });
}

function metadata({ installation, namespace, name, attempt }: DomainSpec): Element {
  return {
    '@xmlns:cf': metadataNamespace,
    'cf:installation': installation,
    'cf:namespace': namespace,
    'cf:name': name,
    'cf:attempt': String(attempt),
  };
}

function devices(spec: DomainSpec, backing: BackingFile | undefined): Element {
  const volumes = (spec.volumes ?? []).filter(({ type }) => type === 'Disk');
  return {
    disk: [
      rootDisk(spec.rootDisk, spec.rootDiskLimits, backing),
      seedDisk(spec),
      ...volumes.map((volume, index) => volumeDisk(volume, index + 2)),
      ...(spec.dataDisks ?? []).map((disk, index) => dataDisk(disk, index + 2 + volumes.length)),
    ],
    ...(shared(spec).length > 0 ? { filesystem: shared(spec).map(filesystem) } : {}),
    interface: spec.nics.map(networkInterface),
    serial: serialConsole(spec),
    ...screen(spec),
    channel: { '@type': 'unix', target: { '@type': 'virtio', '@name': 'org.qemu.guest_agent.0' } },
    rng: { '@model': 'virtio', backend: { '@model': 'random', '#text': '/dev/urandom' } },
    memballoon: { '@model': 'virtio' },
    panic: { '@model': 'isa' },
  };
}

function networkInterface({ tap, bridge, mac, mtu, unplugged }: DomainSpec['nics'][number]): Element {
  return {
    '@type': 'bridge',
    source: { '@bridge': bridge },
    mac: { '@address': mac },
    // libvirt makes the tap when the domain starts; the kernel removes it with QEMU, however that ends.
    target: { '@dev': tap },
    model: { '@type': 'virtio' },
    mtu: { '@size': String(mtu) },
    link: { '@state': unplugged ? 'down' : 'up' },
  };
}

/** A root so long that nobody could listen there must not keep a machine from running: its output is logged all the same. */
function serialConsole({ consoleSocket, consoleLog }: DomainSpec): Element {
  const rest = { log: { '@file': consoleLog, '@append': 'on' }, target: { '@port': '0' } };
  if (Buffer.byteLength(consoleSocket) > socketPathBytesMax) return { '@type': 'pty', ...rest };
  return { '@type': 'unix', source: { '@mode': 'bind', '@path': consoleSocket }, ...rest };
}

/**
 * Nobody can reach it by the network: where its socket would have too long a path it has none, and only pictures can be taken. Whether a
 * client asks for it alone is left to who may have it (console/screen.ts).
 */
function screen({ vncSocket }: DomainSpec): Element {
  const reachable = Buffer.byteLength(vncSocket) <= socketPathBytesMax;
  const listen = reachable ? { '@type': 'socket', '@socket': vncSocket } : { '@type': 'none' };
  return {
    graphics: { '@type': 'vnc', ...(reachable ? { '@socket': vncSocket } : {}), '@sharePolicy': 'ignore', listen },
    video: { model: { '@type': 'vga', '@vram': String(videoKiB), '@heads': '1' } },
  };
}

function rootDisk(path: string, limits: DiskLimits | undefined, backing: BackingFile | undefined): Element {
  return {
    '@type': 'file',
    '@device': 'disk',
    // A disk that fails pauses the guest, which knows nothing of it; told of an error it would stop to write to it for good.
    driver: { '@name': 'qemu', '@type': 'qcow2', '@error_policy': 'stop', '@discard': 'unmap' },
    source: { '@file': path },
    backingStore:
      backing === undefined
        ? {}
        : {
            '@type': 'file',
            format: { '@type': backing.format },
            source: { '@file': backing.path, seclabel: { '@model': 'dac', '@relabel': 'no' } },
            // Images of the store stand on nothing: the chain ends here.
            backingStore: {},
          },
    target: { '@dev': 'vda', '@bus': 'virtio' },
    ...diskLimitElements(limits),
  };
}

function seedDisk({ seedDisk: path, seedRemovable = false }: DomainSpec): Element {
  return {
    '@type': 'file',
    '@device': seedRemovable ? 'cdrom' : 'disk',
    driver: { '@name': 'qemu', '@type': 'raw' },
    source: { '@file': path },
    // As a disk where it can be: Debian's cloud kernel has no driver for the machine's CD-ROM controllers.
    target: seedRemovable ? { '@dev': 'hda', '@bus': 'ide' } : { '@dev': 'vdb', '@bus': 'virtio' },
    readonly: {},
  };
}

/** The same policy on errors as for the root disk: a disk whose bricks are too few pauses the guest, which goes on when they are back. */
function volumeDisk({ name, path }: DomainVolume, place: number): Element {
  return {
    '@type': 'file',
    '@device': 'disk',
    // Gluster's client keeps nothing back from other hosts, nor may QEMU: the next writer may be on another one.
    driver: { '@name': 'qemu', '@type': 'qcow2', '@cache': 'none', '@error_policy': 'stop', '@discard': 'unmap' },
    source: { '@file': path },
    backingStore: {},
    target: { '@dev': deviceName(place), '@bus': 'virtio' },
    serial: name,
  };
}

function dataDisk({ name, path, limits }: DataDisk, place: number): Element {
  return {
    '@type': 'file',
    '@device': 'disk',
    driver: { '@name': 'qemu', '@type': 'qcow2', '@error_policy': 'stop', '@discard': 'unmap' },
    source: { '@file': path },
    // It stands on nothing, whatever its header says.
    backingStore: {},
    target: { '@dev': deviceName(place), '@bus': 'virtio' },
    serial: name,
    ...diskLimitElements(limits),
  };
}

/** As Linux counts them: vda, vdz, vdaa. */
function deviceName(place: number): string {
  const letter = (index: number) => String.fromCharCode('a'.charCodeAt(0) + index);
  return `vd${place < 26 ? '' : letter(Math.floor(place / 26) - 1)}${letter(place % 26)}`;
}

function shared({ volumes = [] }: DomainSpec): readonly DomainVolume[] {
  return volumes.filter(({ type }) => type === 'SharedFilesystem');
}

/** The directory's server is a process beside QEMU that reads and writes the guest's memory. */
const memoryBacking: Element = { source: { '@type': 'memfd' }, access: { '@mode': 'shared' } };

function filesystem({ name, path }: DomainVolume): Element {
  return {
    '@type': 'mount',
    '@accessmode': 'passthrough',
    driver: { '@type': 'virtiofs' },
    // Other hosts write there too: what the guest reads must not come from an older look.
    binary: { cache: { '@mode': 'none' } },
    source: { '@dir': path },
    target: { '@dir': name },
  };
}

export interface DomainXml {
  readonly uuid: string;
  readonly cores: number;
  readonly memoryMiB: number;
  /** Where its screen is served, if it is. */
  readonly vncSocket?: string;
  /** Absent if the domain is not ours. */
  readonly machine?: { readonly installation: string; readonly attempt: number };
}

/** What we want to know of a domain, whoever made it. */
export function readDomainXml(text: string): DomainXml {
  const { domain } = parseXml(text) as { domain: Record<string, unknown> };
  const machine = readMetadata(domain.metadata);
  const vncSocket = readScreen(domain.devices);
  return {
    uuid: String(domain.uuid),
    cores: Number(textOf(domain.vcpu)),
    memoryMiB: memoryMiB(domain.memory),
    ...(vncSocket === undefined ? {} : { vncSocket }),
    ...(machine === undefined ? {} : { machine }),
  };
}

/** Of the XML of a running domain the interfaces that have no carrier, as libvirt has them but for that. */
export function pluggedInterfaces(text: string): readonly string[] {
  const { domain } = parseXml(text) as { domain: { devices: { interface?: Element | readonly Element[] } } };
  const interfaces = [domain.devices.interface ?? []].flat() as readonly Element[];
  return interfaces
    .filter(({ link }) => (link as Element | undefined)?.['@state'] === 'down')
    .map((device) => buildXml({ interface: { ...device, link: { '@state': 'up' } } }));
}

/** What matters of a machine that is to be moved, as it runs or would run. */
export interface MovableXml extends MoveShape {
  /** Root disk first, then its own data disks; what they have in themselves is sent. `stands`: on another file. */
  readonly disks: readonly { readonly target: string; readonly path: string; readonly stands: boolean }[];
  /** It has volumes. */
  readonly volumes: boolean;
}

export function readMovableXml(text: string): MovableXml {
  const { domain } = parseXml(text) as { domain: { devices: Record<string, unknown> } & Record<string, unknown> };
  const { interface: nics, disk, filesystem } = domain.devices;
  const all = elements(disk).filter((each) => each.readonly === undefined);
  const own = all.filter(({ driver }) => (driver as Element)['@cache'] !== 'none');
  return {
    cores: Number(textOf(domain.vcpu)),
    memoryMiB: memoryMiB(domain.memory),
    // In an order of its own: libvirt has its own as well.
    devices: [String(domain['@type']), ...deviceKinds.flatMap((kind) => kindsOf(kind, domain.devices[kind]))].sort(),
    macs: elements(nics).map(({ mac }) => String((mac as Element)['@address'])),
    dataDisks: own.slice(1).map(({ serial }) => String(serial)),
    disks: own.map(({ target, source, backingStore }) => ({
      target: String((target as Element)['@dev']),
      path: String((source as Element)['@file']),
      stands: (backingStore as Element | undefined)?.source !== undefined,
    })),
    volumes: own.length < all.length || elements(filesystem).length > 0,
  };
}

/** Devices that the guest sees, and that are in the XML before libvirt adds its own. */
const deviceKinds = [
  'disk',
  'interface',
  'serial',
  'graphics',
  'video',
  'channel',
  'rng',
  'memballoon',
  'panic',
] as const;

/** Without what only the host sees of them. */
function kindsOf(kind: (typeof deviceKinds)[number], value: unknown): readonly string[] {
  const parts = (device: Element, name: string, ...attributes: readonly string[]) => {
    const part = name === '' ? device : (device[name] as Element | undefined);
    return attributes.map((attribute) => String(part?.[attribute] ?? ''));
  };
  const looks: Readonly<Record<typeof kind, (device: Element) => readonly string[]>> = {
    disk: (device) => [...parts(device, '', '@device'), ...parts(device, 'target', '@dev', '@bus')],
    interface: (device) => parts(device, 'model', '@type'),
    serial: (device) => parts(device, 'target', '@port'),
    graphics: (device) => parts(device, '', '@type'),
    video: (device) => parts(device, 'model', '@type', '@vram'),
    channel: (device) => parts(device, 'target', '@type', '@name'),
    rng: (device) => parts(device, '', '@model'),
    memballoon: (device) => parts(device, '', '@model'),
    panic: (device) => parts(device, '', '@model'),
  };
  return elements(value).map((device) => [kind, ...looks[kind](device)].join(' '));
}

/** `pc`, or what it stood for where the machine was started, such as `pc-i440fx-7.2`. */
export function readMachineType(text: string): string {
  return String(typeOf(parseXml(text).domain)['@machine']);
}

function typeOf(domain: unknown): Element {
  const type = (domain as { os?: { type?: Element } } | undefined)?.os?.type;
  if (typeof type !== 'object') throw new Error('The XML of a domain does not tell its machine type');
  return type;
}

/** What a machine type stands for with the QEMU of a host, out of its libvirt's capabilities; the same if they do not tell. */
export function canonicalMachine(capabilities: string, machine: string): string {
  const { capabilities: root } = parseXml(capabilities) as { capabilities: { guest?: Element | readonly Element[] } };
  const ours = elements(root.guest)
    .flatMap(({ arch }) => elements(arch))
    .find((arch) => arch['@name'] === 'x86_64');
  const found = elements(ours?.machine).find((each) => each['#text'] === machine);
  return typeof found?.['@canonical'] === 'string' ? found['@canonical'] : machine;
}

/** Disks of a machine without volumes, as in the XML, whose content is its own. */
export function copiedDisks({ dataDisks = [] }: DomainSpec): readonly string[] {
  return ['vda', ...dataDisks.map((_, index) => deviceName(index + 2))];
}

function elements(value: unknown): readonly Element[] {
  return value === undefined ? [] : ([value].flat() as unknown as readonly Element[]);
}

function readScreen(devices: unknown): string | undefined {
  const { graphics } = (devices ?? {}) as { readonly graphics?: unknown };
  const socket = ([graphics].flat() as readonly (Record<string, unknown> | undefined)[])[0]?.['@socket'];
  return typeof socket === 'string' ? socket : undefined;
}

function readMetadata(metadata: unknown): DomainXml['machine'] {
  const machine = (metadata as Record<string, Record<string, unknown> | undefined> | undefined)?.['cf:machine'];
  if (machine?.['@xmlns:cf'] !== metadataNamespace) return undefined;
  return { installation: String(machine['cf:installation']), attempt: Number(machine['cf:attempt']) };
}

/** libvirt prints KiB, whatever it was given. */
function memoryMiB(element: unknown): number {
  const unit = (element as Record<string, unknown> | undefined)?.['@unit'];
  return unit === 'MiB' ? Number(textOf(element)) : Math.ceil(Number(textOf(element)) / 1024);
}

/** The parser makes an object of an element that has attributes. */
function textOf(element: unknown): string {
  return typeof element === 'object' && element !== null
    ? String((element as Record<string, unknown>)['#text'])
    : String(element);
}
