/** The executor's configuration file; its form is in docs/architecture.md. */
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { isAbsolute } from 'node:path';
import { messageOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { addressRule } from './images/addresses.ts';
import type { AllowedSegments } from './network/segment.ts';
import { requireSafeName, requireSafeServers } from './volumes/layout.ts';

export interface ExecutorConfig {
  readonly hypervisor: 'libvirt' | 'sim';
  /** Holds the journal and `vms/<uid>/`. */
  readonly root: string;
  /** Holds `<sha256>`; shared by the hosts of a cluster. */
  readonly imageStore: string;
  /** Images with a `file` source are read from here, and from nowhere else. */
  readonly importDir: string;
  /** Ranges (CIDR) that images may be fetched from although they are not public: a mirror of the site's own. */
  readonly allowPrivateSources: readonly string[];
  /** Ranges (CIDR) that guests of subnets with egress may reach although they are not the Internet's: the site's own services. */
  readonly allowPrivateEgress: readonly string[];
  /** Networks of the site that guests may be put on (Subnets of type VLAN and Bridge): bridges, and interfaces whose VLANs may be. */
  readonly segments?: AllowedSegments;
  readonly bootIdFile: string;
  /** uid of the namespace cf-system. Domains of another installation on the same host are then foreign. */
  readonly installation?: string;
  readonly libvirtSocket?: string;
  /** Whether guests run with KVM. Without it the host is tried once per boot. */
  readonly kvm?: boolean;
  /** Network namespace of a pretended host. */
  readonly netns?: string;
  /** Of a pretended host: its directory, with the pid of its process 1, in whose mount namespace its guests are, and libvirt's files. */
  readonly hostDir?: string;
  /** IPv4 address at which the cluster's other hosts reach this one: subnets go from host to host there. Without it they stay here. */
  readonly tunnelAddress?: string;
  /** Address and port of the console server; without it there is none. */
  readonly consoleListen?: string;
  /** GlusterFS for volumes; without it there are none here. */
  readonly gluster?: GlusterConfig;
  /** Copies of images on this host; without it guests read from the store. */
  readonly imageCache?: ImageCacheConfig;
  /** `agents`: whether imitated guests have an agent. */
  readonly sim: { readonly bootMs: number; readonly agents: boolean };
}

export interface ImageCacheConfig {
  /** On a disk of the host, and of this executor alone. */
  readonly directory: string;
  /** All copies together, at most. */
  readonly bytes: number;
  /** So fast images are copied. */
  readonly bytesPerSecond: number;
}

export interface GlusterConfig {
  /** Names of the Gluster volumes that may be used. */
  readonly volumes: readonly string[];
  /** Addresses or host names that tell how to reach them, as the host sees them. */
  readonly servers: readonly string[];
  /** Gluster's command line, if it is not simply `gluster`. */
  readonly command?: readonly string[];
}

const defaultConfigFile = '/etc/computefactory/executor.json';
const defaultBootIdFile = '/proc/sys/kernel/random/boot_id';
const defaultBootMs = 1000;

/** Names of all fields. */
export const known = [
  'hypervisor',
  'root',
  'imageStore',
  'importDir',
  'allowPrivateSources',
  'allowPrivateEgress',
  'segments',
  'bootIdFile',
  'installation',
  'libvirtSocket',
  'kvm',
  'netns',
  'hostDir',
  'tunnelAddress',
  'consoleListen',
  'gluster',
  'imageCache',
  'sim',
];

/** Which file an executor reads in this environment. */
export function configFile({ CF_EXECUTOR_CONFIG }: NodeJS.ProcessEnv): string {
  return CF_EXECUTOR_CONFIG ?? defaultConfigFile;
}

/** Reads and checks the file. Throws UsageError with the file, the field and what it should be. */
export function readConfig(file: string): ExecutorConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new UsageError(`Cannot read ${file} (name another one in CF_EXECUTOR_CONFIG): ${String(cause)}`, { cause });
  }
  try {
    return parseConfig(JSON.parse(text));
  } catch (cause) {
    throw new UsageError(`Cannot use ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Throws Error naming the first field that is missing, unknown or of the wrong form. */
export function parseConfig(value: unknown): ExecutorConfig {
  if (!isRecord(value)) throw new Error('it must be one JSON object');
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) throw new Error(`there is no field "${name}"; known are ${known.join(', ')}`);
  }
  const { hypervisor } = value;
  if (hypervisor !== 'libvirt' && hypervisor !== 'sim') throw new Error('hypervisor must be "libvirt" or "sim"');
  const consoleListen = optionalString(value, 'consoleListen');
  if (consoleListen !== undefined && !/:\d+$/.test(consoleListen))
    throw new Error(`consoleListen must be an address with a port such as 127.0.0.1:0, not "${consoleListen}"`);
  const libvirtSocket = optionalString(value, 'libvirtSocket');
  const installation = optionalString(value, 'installation');
  const netns = optionalString(value, 'netns');
  const hostDir = optionalString(value, 'hostDir');
  const { kvm } = value;
  if (kvm !== undefined && typeof kvm !== 'boolean') throw new Error('kvm must be true or false');
  const tunnelAddress = optionalString(value, 'tunnelAddress');
  if (tunnelAddress !== undefined && !isIPv4(tunnelAddress))
    throw new Error(`tunnelAddress must be an IPv4 address, not "${tunnelAddress}"`);
  const gluster = glusterConfig(value.gluster);
  const imageCache = imageCacheConfig(value.imageCache);
  const segments = segmentsConfig(value.segments);
  return Object.freeze({
    hypervisor,
    root: absolute(value, 'root'),
    imageStore: absolute(value, 'imageStore'),
    importDir: absolute(value, 'importDir'),
    allowPrivateSources: ranges(value, 'allowPrivateSources'),
    allowPrivateEgress: ipv4Ranges(value, 'allowPrivateEgress'),
    bootIdFile: optionalString(value, 'bootIdFile') ?? defaultBootIdFile,
    ...(installation === undefined ? {} : { installation }),
    ...(libvirtSocket === undefined ? {} : { libvirtSocket }),
    ...(netns === undefined ? {} : { netns }),
    ...(hostDir === undefined ? {} : { hostDir }),
    ...(kvm === undefined ? {} : { kvm }),
    ...(tunnelAddress === undefined ? {} : { tunnelAddress }),
    ...(consoleListen === undefined ? {} : { consoleListen }),
    ...(gluster === undefined ? {} : { gluster }),
    ...(imageCache === undefined ? {} : { imageCache }),
    ...(segments === undefined ? {} : { segments }),
    sim: sim(value.sim),
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function optionalString(value: Record<string, unknown>, name: string): string | undefined {
  const field = value[name];
  if (field === undefined) return undefined;
  if (typeof field !== 'string' || field === '') throw new Error(`${name} must be a string that is not empty`);
  return field;
}

function absolute(value: Record<string, unknown>, name: string): string {
  const path = optionalString(value, name);
  if (path === undefined || !isAbsolute(path))
    throw new Error(`${name} must be an absolute path, not ${path ?? 'absent'}`);
  return path;
}

/** A host that belongs to Gluster's pool is a server itself. */
function glusterConfig(value: unknown): GlusterConfig | undefined {
  if (value === undefined) return undefined;
  const form = 'gluster must be {"volumes": ["NAME", …], "servers": ["ADDRESS", …]}';
  if (!isRecord(value) || Object.keys(value).some((name) => !['volumes', 'servers', 'command'].includes(name)))
    throw new Error(form);
  const { volumes, servers = ['localhost'], command } = value;
  if (!isTexts(volumes) || !isTexts(servers) || !(command === undefined || isTexts(command))) throw new Error(form);
  try {
    volumes.forEach(requireSafeName);
    requireSafeServers(servers);
  } catch (cause) {
    throw new Error(`gluster: ${messageOf(cause)}`, { cause });
  }
  return { volumes, servers, ...(command === undefined ? {} : { command }) };
}

const gib = 2 ** 30;
const mib = 2 ** 20;
const defaultMiBPerSecond = 200;

function imageCacheConfig(value: unknown): ImageCacheConfig | undefined {
  if (value === undefined) return undefined;
  const form = 'imageCache must be {"directory": "/DIR", "sizeGiB": NUMBER, "mibPerSecond": NUMBER}';
  if (!isRecord(value) || Object.keys(value).some((name) => !['directory', 'sizeGiB', 'mibPerSecond'].includes(name)))
    throw new Error(form);
  const { directory, sizeGiB, mibPerSecond = defaultMiBPerSecond } = value;
  const isRight = typeof directory === 'string' && isAbsolute(directory) && isMore(sizeGiB) && isMore(mibPerSecond);
  if (!isRight) throw new Error(form);
  return { directory, bytes: Math.floor(sizeGiB * gib), bytesPerSecond: mibPerSecond * mib };
}

/** A number above nothing. */
function isMore(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

function segmentsConfig(value: unknown): AllowedSegments | undefined {
  if (value === undefined) return undefined;
  const form = 'segments must be {"bridges": ["NAME", …], "nics": ["NAME", …]}';
  if (!isRecord(value) || Object.keys(value).some((name) => !['bridges', 'nics'].includes(name))) throw new Error(form);
  const { bridges = [], nics = [] } = value;
  const isNames = (list: unknown): list is readonly string[] =>
    isTexts(list) || (Array.isArray(list) && list.length === 0);
  if (!isNames(bridges) || !isNames(nics)) throw new Error(form);
  return { bridges, nics };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string' && each !== '');
}

function ranges(value: Record<string, unknown>, name: string): readonly string[] {
  const field = value[name];
  if (field === undefined) return [];
  if (!Array.isArray(field) || !field.every((each) => typeof each === 'string'))
    throw new Error(`${name} must be a list of ranges such as ["10.20.0.0/16"]`);
  try {
    addressRule(field);
  } catch (cause) {
    throw new Error(`${name}: ${messageOf(cause)}`, { cause });
  }
  return field;
}

/** Guests have no other addresses. */
function ipv4Ranges(value: Record<string, unknown>, name: string): readonly string[] {
  const all = ranges(value, name);
  const wrong = all.find((range) => range.includes(':'));
  if (wrong !== undefined) throw new Error(`${name}: "${wrong}" is not a range of IPv4 addresses such as 10.20.0.0/16`);
  return all;
}

function sim(value: unknown): ExecutorConfig['sim'] {
  const { bootMs = defaultBootMs, agents = false } =
    value === undefined ? {} : isRecord(value) ? value : { bootMs: value };
  if (typeof bootMs !== 'number' || !(bootMs >= 0) || typeof agents !== 'boolean')
    throw new Error('sim must be {"bootMs": <milliseconds, 0 or more>, "agents": <true or false>}');
  return { bootMs, agents };
}
