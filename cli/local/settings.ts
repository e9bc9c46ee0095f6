/** What one local cluster is made of, decided once at its first `local up` and kept in its directory. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseMiB } from '#lib/api/quantity.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import { freePorts } from '#lib/std/free-ports.ts';
import { UsageError } from '#lib/std/main.ts';

export type HypervisorChoice = 'auto' | 'libvirt' | 'sim';

export interface LocalOptions {
  readonly dir: string;
  readonly port: number;
  readonly hosts: number;
  /** Cores and memory that guests of one host can use. */
  readonly hostCpus: number;
  readonly hostMem: string;
  /** `sqlite` or `etcd://HOST:PORT[,…]`. */
  readonly store: string;
  /** `local` or the URL of a Mesos master. */
  readonly mesos: string;
  readonly hypervisor: HypervisorChoice;
}

export interface LocalHost {
  readonly name: string;
  readonly hypervisor: 'libvirt' | 'sim';
  readonly port: number;
  readonly cores: number;
  readonly memoryMiB: number;
}

export interface LocalSettings {
  readonly version: 1;
  readonly options: LocalOptions;
  readonly masterPort: number;
  readonly hosts: readonly LocalHost[];
  /** One sentence if machines are imitated although real ones were possible to ask for. */
  readonly imitated?: string;
  /** Images are in a volume of GlusterFS over the real hosts; in a directory if absent. */
  readonly imageStore?: 'gluster';
  /** One sentence if there are real hosts enough for that, and something else is missing. */
  readonly singleStore?: string;
}

/** The directory's paths. Everything that `local up` makes is below it. */
export function localPaths(dir: string) {
  const at = (...parts: string[]) => join(dir, ...parts);
  return {
    settings: at('settings.json'),
    programs: at('programs.json'),
    kubeconfig: at('kubeconfig'),
    credentials: at('credentials'),
    run: at('run'),
    logs: at('logs'),
    data: at('data'),
    images: at('images'),
    imports: at('imports'),
    mesos: at('mesos'),
    host: (name: string) => at('hosts', name),
  };
}

/** The settings of the cluster in this directory; undefined if there is none. */
export function readSettings(dir: string): LocalSettings | undefined {
  const file = localPaths(dir).settings;
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LocalSettings) : undefined;
}

export function writeSettings(settings: LocalSettings): void {
  writeFileAtomic(localPaths(settings.options.dir).settings, `${JSON.stringify(settings, null, 2)}\n`);
}

/** Refuses options that would need another cluster than the one that is there. */
export function requireSameOptions(settings: LocalSettings, asked: Partial<LocalOptions>): void {
  for (const [name, value] of Object.entries(asked)) {
    const kept = settings.options[name as keyof LocalOptions];
    if (value === undefined || value === kept) continue;
    throw new UsageError(
      `The local cluster in ${settings.options.dir} was made with ${name} ${kept}, not ${value}. Run "factoryctl local down" first, or give another --dir.`,
    );
  }
}

/** Of every image in GlusterFS, each on another host. */
export const copies = 3;

export function realHosts<T extends Pick<LocalHost, 'hypervisor'>>(hosts: readonly T[]): readonly T[] {
  return hosts.filter(({ hypervisor }) => hypervisor === 'libvirt');
}

/** Decides hosts and ports. Both reasons are undefined if real machines, and GlusterFS, can run here, else the sentence why not. */
export async function decideSettings(
  options: LocalOptions,
  cannotRunLibvirt: string | undefined,
  cannotRunGluster: string | undefined,
): Promise<LocalSettings> {
  if (options.hypervisor === 'libvirt' && cannotRunLibvirt)
    throw new UsageError(`Cannot use --hypervisor libvirt: ${cannotRunLibvirt}`);
  const memoryMiB = readMemory(options.hostMem);
  const kind = options.hypervisor === 'libvirt' ? 'libvirt' : 'sim';
  const hosts: Omit<LocalHost, 'port'>[] = Array.from({ length: options.hosts }, (_, index) => ({
    name: `host-${index}`,
    hypervisor: kind,
    cores: options.hostCpus,
    memoryMiB,
  }));
  // One small real host beside the imitated ones: enough to show that machines are real, small enough for a laptop.
  if (options.hypervisor === 'auto' && !cannotRunLibvirt)
    hosts.push({ name: 'metal-0', hypervisor: 'libvirt', cores: 4, memoryMiB: 2048 });
  const [masterPort, ...ports] = await freePorts(hosts.length + 1);
  return {
    version: 1,
    options: { ...options, dir: resolve(options.dir) },
    masterPort: masterPort!,
    hosts: hosts.map((host, index) => ({ ...host, port: ports[index]! })),
    ...(options.hypervisor === 'auto' && cannotRunLibvirt
      ? { imitated: `Machines are imitated: ${cannotRunLibvirt}` }
      : {}),
    ...(options.mesos === 'local' && realHosts(hosts).length >= copies ? storeOf(cannotRunGluster) : {}),
  };
}

function storeOf(cannotRunGluster: string | undefined): Pick<LocalSettings, 'imageStore' | 'singleStore'> {
  if (cannotRunGluster === undefined) return { imageStore: 'gluster' };
  return { singleStore: `Images are kept once, in a directory that all hosts share: ${cannotRunGluster}` };
}

function readMemory(text: string): number {
  try {
    return parseMiB(text);
  } catch (error) {
    throw new UsageError(`--host-mem: ${(error as Error).message}`);
  }
}
