/** The programs of a local cluster and how each is started: the list that the keeper keeps running. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '#lib/std/files.ts';
import { wireAddress } from '../pretend-host/fabric.ts';
import { copies, type LocalHost, type LocalSettings, localPaths, realHosts } from './settings.ts';

/** Gluster volume for Volumes; where hosts are imitated, so is it. */
export const volumesVolume = 'volumes';

/** Every process of a local cluster carries this in its environment: `local down` finds by it what has outlived its parent. */
export const marker = 'CF_LOCAL_DIR';

export interface Program {
  readonly name: string;
  /** Absolute path and arguments. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly log: string;
}

const root = join(import.meta.dirname, '../..');
export const launcher = (name: string): string => join(root, 'bin', name);

/** The share of a host that the executor itself asks for; the same in the Cluster object. */
export const executorShare = { cores: 0.5, memoryMiB: 512 };

/** In the order in which they are started; stopped in reverse. */
export function programsOf(settings: LocalSettings): readonly Program[] {
  const { dir, port, mesos } = settings.options;
  const paths = localPaths(dir);
  const program = (name: string, binary: string, args: readonly string[]): Program => ({
    name,
    command: [launcher(binary), ...args],
    environment: { [marker]: dir },
    log: join(paths.logs, `${name}.log`),
  });
  const credential = (file: string) => join(paths.credentials, file);
  const apiserver = program('apiserver', 'factory-apiserver', [
    ...['--listen', `127.0.0.1:${port}`, '--store', storeOf(settings), '--tls-cert', credential('apiserver.crt')],
    ...[
      '--tls-key',
      credential('apiserver.key'),
      '--client-ca',
      credential('ca.crt'),
      '--token-file',
      credential('tokens.csv'),
      '--service-account-signing-key-file',
      credential('service-account.key'),
    ],
  ]);
  // A fixed identity: a program that was killed leads again at once, instead of waiting for its own old lease to run out.
  const kubeconfig = (user: string) => ['--kubeconfig', credential(`${user}.kubeconfig`), '--identity', 'local'];
  return [
    apiserver,
    program('controllers', 'factory-controllers', kubeconfig('controllers')),
    ...(mesos === 'local' ? mesosPrograms(settings, program) : []),
    program('cluster-server', 'factory-cluster-server', [...kubeconfig('cluster-server'), '--cluster', 'local']),
  ];
}

function storeOf(settings: LocalSettings): string {
  const { store, dir } = settings.options;
  return store === 'sqlite' ? `sqlite:${join(localPaths(dir).data, 'store.sqlite')}` : store;
}

export function masterUrl(settings: LocalSettings): string {
  return settings.options.mesos === 'local' ? `http://127.0.0.1:${settings.masterPort}` : settings.options.mesos;
}

function mesosPrograms(
  settings: LocalSettings,
  program: (name: string, binary: string, args: readonly string[]) => Program,
): Program[] {
  const paths = localPaths(settings.options.dir);
  const master = program('mesos-master', 'mesos-local-master', [
    ...['--listen', `127.0.0.1:${settings.masterPort}`, '--work-dir', join(paths.mesos, 'master')],
  ]);
  const hosts = realHosts(settings.hosts).map((host) => pretendHost(settings, host));
  const agents = settings.hosts.map((host) => agent(settings, host, program));
  return [master, ...hosts, ...(settings.imageStore === 'gluster' ? [imageStore(settings)] : []), ...agents];
}

/** Real machines of a local cluster live in a pretended host of their own: the system's libvirt is never touched. */
function pretendHost(settings: LocalSettings, host: LocalHost): Program {
  const paths = localPaths(settings.options.dir);
  return {
    name: `host-of-${host.name}`,
    command: [
      process.execPath,
      join(root, 'cli/pretend-host/main.ts'),
      '--dir',
      join(paths.host(host.name), 'machine'),
      '--name',
      netnsOf(settings, host),
      '--fabric',
      fabricOf(settings),
      '--number',
      String(numberOf(settings, host)),
      ...storeFlags(settings),
      ...(settings.imageStore === 'gluster' ? ['--mounts', mountsOf(settings, host)] : []),
    ],
    environment: { [marker]: settings.options.dir },
    log: join(paths.logs, `host-of-${host.name}.log`),
  };
}

/** Of Volumes, by the executor of a real host. */
export function mountsOf(settings: LocalSettings, host: LocalHost): string {
  return join(localPaths(settings.options.dir).host(host.name), 'executor/volumes');
}

/** Names of network namespaces are system-wide: the API port keeps two local clusters on one machine apart. */
export function netnsOf(settings: LocalSettings, host: LocalHost): string {
  return `cf-${settings.options.port}-${host.name}`;
}

function storeFlags(settings: LocalSettings): readonly string[] {
  const servers = storeServers(settings).map(({ address }) => address);
  if (servers.length === 0) return [];
  const { images } = localPaths(settings.options.dir);
  return ['--store', images, '--store-servers', servers.join(',')];
}

function imageStore(settings: LocalSettings): Program {
  const { dir } = settings.options;
  return {
    name: 'image-store',
    command: [process.execPath, join(root, 'cli/local/image-store.ts'), dir],
    environment: { [marker]: dir },
    log: join(localPaths(dir).logs, 'image-store.log'),
  };
}

/** The hosts that each keep a copy of all images; none where images are in a shared directory. */
export function storeServers(settings: LocalSettings): readonly { readonly name: string; readonly address: string }[] {
  if (settings.imageStore !== 'gluster') return [];
  return realHosts(settings.hosts)
    .slice(0, copies)
    .map((host) => ({ name: host.name, address: wireAddress(numberOf(settings, host)) }));
}

/** Network namespace of the wire between the real hosts of the cluster. */
export function fabricOf(settings: LocalSettings): string {
  return `cf-${settings.options.port}-fabric`;
}

function numberOf(settings: LocalSettings, host: LocalHost): number {
  return settings.hosts.findIndex(({ name }) => name === host.name) + 1;
}

function agent(
  settings: LocalSettings,
  host: LocalHost,
  program: (name: string, binary: string, args: readonly string[]) => Program,
): Program {
  const { dir } = settings.options;
  const paths = localPaths(dir);
  const config = join(paths.host(host.name), 'executor.json');
  const environment = {
    CF_EXECUTOR_CONFIG: config,
    [marker]: dir,
    PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
  };
  return program(`agent-${host.name}`, 'mesos-local-agent', [
    ...['--listen', `127.0.0.1:${host.port}`, '--master', masterUrl(settings), '--hostname', host.name],
    ...[
      '--work-dir',
      join(paths.mesos, host.name),
      '--resources',
      resourcesOf(host),
      '--attributes',
      `hypervisor:${host.hypervisor}`,
    ],
    ...['--executor-environment', JSON.stringify(environment)],
    // Mesos' 2 s are for idle servers: a laptop that starts ten programs at once is slower.
    ...['--executor-reregistration-timeout', '15'],
  ]);
}

/**
 * What the agent offers for guests of so many cores and so much memory: the executor's share and the overhead of up to 16
 * machines (64 MiB + 2 % each) come on top, so that one machine can have the whole host.
 */
function resourcesOf(host: LocalHost): string {
  const memory = host.memoryMiB + Math.ceil(host.memoryMiB * 0.02) + 16 * 64 + executorShare.memoryMiB;
  return `cpus:${host.cores + executorShare.cores};mem:${memory};disk:1000000`;
}

function glusterOf(settings: LocalSettings, machine: string): object {
  const servers = storeServers(settings).map(({ address }) => address);
  const command = ['sh', join(root, 'cli/pretend-host/gluster.sh'), machine];
  return { volumes: [volumesVolume], servers, command };
}

/** Writes what the programs read at their start: one executor.json per host, and the list for the keeper. */
export function writePrograms(settings: LocalSettings): readonly Program[] {
  const { dir } = settings.options;
  const paths = localPaths(dir);
  for (const folder of [paths.run, paths.logs, paths.data, paths.images, paths.imports])
    mkdirSync(folder, { recursive: true });
  for (const host of settings.hosts) {
    const machine = join(paths.host(host.name), 'machine');
    const config = {
      hypervisor: host.hypervisor,
      root: join(paths.host(host.name), 'executor'),
      imageStore: paths.images,
      importDir: paths.imports,
      // A local cluster is its owner's own: so are the servers beside it.
      allowPrivateSources: ['127.0.0.0/8'],
      consoleListen: '127.0.0.1:0',
      ...(host.hypervisor === 'libvirt'
        ? {
            libvirtSocket: join(machine, 'run/libvirt-sock'),
            netns: netnsOf(settings, host),
            hostDir: machine,
            tunnelAddress: wireAddress(numberOf(settings, host)),
            // A pretended host hides it, whatever the computer has.
            kvm: false,
            bootIdFile: join(machine, 'boot-id'),
            ...(settings.imageStore === 'gluster' ? { gluster: glusterOf(settings, machine) } : {}),
          }
        : {
            gluster: { volumes: [volumesVolume] },
            bootIdFile: join(paths.host(host.name), 'boot-id'),
            sim: { bootMs: 500 },
          }),
    };
    writeFileAtomic(join(paths.host(host.name), 'executor.json'), `${JSON.stringify(config, null, 2)}\n`);
  }
  const programs = programsOf(settings);
  writeFileAtomic(paths.programs, `${JSON.stringify(programs, null, 2)}\n`);
  return programs;
}
