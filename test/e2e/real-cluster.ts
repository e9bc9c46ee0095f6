/** A local cluster whose machines are real, and what a test asks of it from the outside: virsh, consoles, processes, files. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fabricOf, masterUrl, netnsOf } from '#cli/local/programs.ts';
import { type LocalHost, type LocalSettings, localPaths, readSettings } from '#cli/local/settings.ts';
import { IPLease, VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { operatorClient } from '#mesos/operator.ts';
import { type ClusterOptions, type LocalCluster, must, root, run, startLocalCluster } from './local-cluster.ts';

const exec = promisify(execFile);
const shellMs = 120_000;
const hypervisorPath = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

export interface RealCluster extends LocalCluster {
  readonly hosts: readonly RealHostView[];
  /** Runs a program in the network namespace of the wire between the hosts, and gives its standard output. */
  onWire(input: string, ...args: readonly string[]): Promise<string>;
  /** Names of the running domains, which are made of uids. */
  runningDomains(): Promise<readonly string[]>;
  /** What the guest printed since it was made. */
  consoleLog(vm: VirtualMachine): string;
  /** Types a line on the serial console, through the API server; gives what was printed until the command ended. */
  shell(vm: VirtualMachine, command: string): Promise<string>;
  /** A viewer's connection to what `factoryctl vnc` offers. `end` stops that. */
  vnc(vm: VirtualMachine): Promise<{ readonly screen: Socket; end(): void }>;
  /** uid: pid of its QEMU. */
  qemus(): Readonly<Record<string, number>>;
  /** What is on the hosts, in the API and in Mesos, as it is at rest: waits until nothing changes any more. */
  holdings(): Promise<Holdings>;
}

export interface RealHostView {
  readonly name: string;
  /** Its network namespace. */
  readonly netns: string;
  /** The executor's directory on the host. */
  readonly executorDir: string;
  /** What stands in for the host's own disk. */
  readonly machineDir: string;
  /** Runs a program in the host's network namespace, and gives its standard output. */
  exec(input: string, ...args: readonly string[]): Promise<string>;
  /** Those that its libvirt has running or paused; undefined if it does not answer in time. */
  activeDomains(withinMs: number): Promise<readonly ActiveDomain[] | undefined>;
}

export interface ActiveDomain {
  readonly name: string;
  /** By libvirt's state and reason: its guest has not come yet, or has gone, so nothing of it runs here. */
  readonly isStanding: boolean;
  /** As numbers, `state.reason`: for people. */
  readonly state: string;
}

/** Each entry begins with its host's name where it is something of a host. */
export interface Holdings {
  readonly domains: readonly string[];
  /** Overlays, seeds, console logs and sockets. */
  readonly machineFiles: readonly string[];
  /** What libvirt keeps of domains, except its logs, which it leaves to logrotate. */
  readonly libvirtFiles: readonly string[];
  /** Bridges, taps and VXLAN ports; the hosts' own ports and the wire. */
  readonly links: readonly string[];
  readonly filterRules: readonly string[];
  /** Guests, options and leases of DHCP servers. */
  readonly dhcpFiles: readonly string[];
  readonly mounts: readonly string[];
  /** By name: DHCP servers, QEMUs, and what a host consists of. */
  readonly processes: readonly string[];
  readonly machines: readonly string[];
  readonly leases: readonly string[];
  readonly tasks: readonly string[];
}

const restMs = 1_000;
const restlessMs = 60_000;

export async function startRealCluster(options: Omit<ClusterOptions, 'hypervisor'>): Promise<RealCluster> {
  return withReal(await startLocalCluster({ ...options, hypervisor: 'libvirt' }));
}

export function withReal(cluster: LocalCluster): RealCluster {
  const settings = readSettings(cluster.dir)!;
  const hosts = settings.hosts.map((host) => viewOf(cluster.dir, settings, host));
  const onWire = (input: string, ...args: readonly string[]) => inNamespace(fabricOf(settings), input, ...args);
  const qemus = () => {
    const found = commandsIn(cluster.dir).flatMap(({ pid, command }) => {
      const uid = /guest=cf-([0-9a-f-]{36})/.exec(command)?.[1];
      return uid === undefined ? [] : [[uid, pid] as const];
    });
    return Object.fromEntries(found);
  };
  async function look(): Promise<Holdings> {
    const [ofHosts, wire, machines, leases] = await Promise.all([
      Promise.all(hosts.map((host) => host.look())),
      onWire('', 'ip', '-json', 'link'),
      cluster.client.list(VirtualMachine),
      cluster.client.list(IPLease),
    ]);
    await using mesos = operatorClient({ masters: [masterUrl(settings)], clock: systemClock });
    const tasks = await mesos.tasks();
    const every = (field: keyof OfHost) => ofHosts.flatMap((host) => host[field]).sort();
    return {
      domains: every('domains'),
      machineFiles: every('machineFiles'),
      libvirtFiles: every('libvirtFiles'),
      links: [...every('links'), ...linksOf('wire', wire)],
      filterRules: every('filterRules'),
      dhcpFiles: every('dhcpFiles'),
      mounts: every('mounts'),
      processes: every('processes'),
      machines: machines.items.map(({ metadata }) => metadata.name),
      leases: leases.items.map(({ metadata }) => metadata.name),
      tasks: [tasks.tasks, tasks.pending_tasks, tasks.unreachable_tasks, tasks.orphan_tasks]
        .flatMap((list) => list ?? [])
        .map(({ task_id }) => task_id.value),
    };
  }
  return {
    ...cluster,
    ...{ hosts, onWire, qemus },
    runningDomains: async () =>
      (await Promise.all(hosts.map(async ({ virsh }) => words(await virsh('list', '--name'))))).flat().sort(),
    consoleLog: ({ metadata }) => {
      const files = hosts.map(({ executorDir }) => join(executorDir, 'vms', metadata.uid, 'console.log'));
      return files.flatMap((file) => (existsSync(file) ? [readFileSync(file, 'latin1')] : [])).join('');
    },
    shell: (vm, command) => typed(cluster, vm, command),
    vnc: (vm) => viewed(cluster, vm),
    async holdings() {
      const deadline = systemClock.monotonic() + restlessMs;
      let before = await look();
      for (;;) {
        await systemClock.sleep(restMs);
        const now = await look();
        if (JSON.stringify(now) === JSON.stringify(before)) return now;
        if (systemClock.monotonic() > deadline)
          throw new Error(`The hosts did not come to rest in ${restlessMs} ms: ${JSON.stringify(now)}`);
        before = now;
      }
    },
  };
}

type OfHost = Pick<
  Holdings,
  'domains' | 'machineFiles' | 'libvirtFiles' | 'links' | 'filterRules' | 'dhcpFiles' | 'mounts' | 'processes'
>;

function viewOf(dir: string, settings: LocalSettings, host: LocalHost) {
  const { name } = host;
  const hostDir = localPaths(dir).host(name);
  const executorDir = join(hostDir, 'executor');
  const machineDir = join(hostDir, 'machine');
  const netns = netnsOf(settings, host);
  const inHost = (input: string, ...args: readonly string[]) => inNamespace(netns, input, ...args);
  const uri = `qemu:///system?socket=${join(machineDir, 'run/libvirt-sock')}`;
  const virsh = async (...args: readonly string[]) => await must(run('virsh', ['-c', uri, ...args]));
  const namespaces = [...settings.hosts.map((each) => netnsOf(settings, each)), fabricOf(settings)];
  /** Every host sees the network namespaces of the whole computer, and mounts in other temporary directories, also of those who test beside us. */
  const isOurs = (mount: string) =>
    mount.includes(' /run/netns/')
      ? namespaces.some((each) => mount.endsWith(` /run/netns/${each}`))
      : !mount.includes(`${tmpdir()}/`) || mount.includes(`${dir}/`);
  const mine = (entries: readonly string[]) => entries.map((entry) => `${name} ${entry}`);
  return {
    ...{ name, netns, executorDir, machineDir, virsh, exec: inHost },
    async activeDomains(withinMs: number) {
      const list = ['domstats', '--state', '--list-active'];
      const { code, stdout } = await run('virsh', ['-c', uri, ...list], {}, withinMs);
      return code === 0 ? readActiveDomains(stdout) : undefined;
    },
    async look(): Promise<OfHost> {
      const [domains, links, rules, pids] = await Promise.all([
        virsh('list', '--all', '--name'),
        inHost('', 'ip', '-json', 'link'),
        inHost('', 'nft', 'list', 'ruleset'),
        exec('ip', ['netns', 'pids', netns]),
      ]);
      const { pid } = JSON.parse(readFileSync(join(machineDir, 'pid'), 'utf8')) as { readonly pid: number };
      const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trimEnd().split('\n');
      const files = (folder: string, ...names: readonly string[]) =>
        mine(names.flatMap((each) => filesBelow(join(folder, each)).map((file) => join(each, file))));
      return {
        domains: mine(words(domains)),
        machineFiles: files(executorDir, 'vms', 'tty', 'vnc'),
        // libvirt makes the directory of definitions with the first one, and keeps it.
        libvirtFiles: files(machineDir, 'run', 'lib', 'etc').filter((entry) => entry !== `${name} etc/qemu`),
        links: linksOf(name, links),
        filterRules: mine(rules.split('\n').filter((line) => line.trim() !== '')),
        dhcpFiles: files(executorDir, 'network'),
        mounts: mine(mounts.map((line) => line.split(' ').slice(3, 5).join(' ')).filter(isOurs)),
        // Without a command: it has ended meanwhile.
        processes: mine(words(pids.stdout).flatMap((each) => words(commandOf(each)).slice(0, 1))),
      };
    },
  };
}

/**
 * virDomainState; and of virDomainPausedReason: sent or received, and not yet begun. While its QEMU comes an active domain is said to be off, and
 * when that was told to end, and its processors stand, to be shutting down.
 */
const [paused, shuttingDown, off, crashed] = [3, 4, 5, 6];
const reasonsToStand = [2, 11];

function readActiveDomains(text: string): readonly ActiveDomain[] {
  const domains = text.matchAll(/^Domain: '([^']+)'\s+state\.state=(\d+)\s+state\.reason=(\d+)/gm);
  return [...domains].map(([, name, state, reason]) => ({
    name: name!,
    isStanding:
      [shuttingDown, off, crashed].includes(Number(state)) ||
      (Number(state) === paused && reasonsToStand.includes(Number(reason))),
    state: `${state}.${reason}`,
  }));
}

async function inNamespace(netns: string, input: string, ...args: readonly string[]): Promise<string> {
  const running = exec('ip', ['netns', 'exec', netns, ...args], { env: { ...process.env, PATH: hypervisorPath } });
  // A program that ends without reading its input says why on standard error.
  running.child.stdin!.on('error', () => undefined).end(input);
  return (await running).stdout;
}

function linksOf(host: string, json: string): readonly string[] {
  return (JSON.parse(json) as readonly { ifname: string }[]).map(({ ifname }) => `${host} ${ifname}`).sort();
}

/** Each host mounts the store of images by itself, a moment after it was made. Nothing where there is none. */
export async function untilStoreMounted({ dir, hosts, holdings }: RealCluster): Promise<void> {
  if (!readSettings(dir)!.imageStore) return;
  const deadline = systemClock.monotonic() + restlessMs;
  for (;;) {
    const mounts = (await holdings()).mounts.filter((mount) => mount.endsWith(localPaths(dir).images));
    if (mounts.length === hosts.length) return;
    if (systemClock.monotonic() > deadline)
      throw new Error(`The store of images is mounted on ${mounts.length} of ${hosts.length} hosts`);
  }
}

/** The small guest, built once for the whole project, where the host looks for files to import. */
export async function placeGuestImage(dir: string, name = 'tiny.img'): Promise<void> {
  const built = await must(run(join(root, 'hack/guest-image/build.sh'), []));
  mkdirSync(localPaths(dir).imports, { recursive: true });
  copyFileSync(built.trim(), join(localPaths(dir).imports, name));
}

/** Processes whose command line names something below this directory. */
export function commandsIn(dir: string): readonly { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map((entry) => ({ pid: Number(entry), command: commandOf(entry) }))
    .filter(({ command }) => command.includes(`${dir}/`));
}

export function commandOf(pid: string | number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it ended between the list and the look
  }
}

function filesBelow(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
}

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');

async function viewed(cluster: LocalCluster, { metadata }: VirtualMachine) {
  const child = spawn(join(root, 'bin/factoryctl'), ['vnc', metadata.name, '-n', metadata.namespace!], {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data', { signal: AbortSignal.timeout(shellMs) })) as [Buffer];
  const [, port] = /127\.0\.0\.1:(\d+)/.exec(String(said)) ?? [];
  const screen = connect(Number(port), '127.0.0.1');
  return { screen, end: () => void child.kill('SIGINT') };
}

let commands = 0;

/** The console replays its past first: what this command printed stands between marks of its own. */
function typed(cluster: LocalCluster, { metadata }: VirtualMachine, command: string): Promise<string> {
  const { name, namespace } = metadata;
  commands += 1;
  const [begin, end] = [`BEGIN-${process.pid}-${commands}`, `END-${process.pid}-${commands}`];
  // The echo of the typed line must not look like the marks: the guest's shell takes the quotes away.
  const line = `echo ${begin.replace('-', '"-"')}; ${command}; echo ${end.replace('-', '"-"')}\n`;
  const child = spawn(join(root, 'bin/factoryctl'), ['console', 'vm', name, '-n', namespace!], {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
  });
  let [output, errors] = ['', ''];
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${why} on the console of ${name}: ${command}\n${errors}${output}`));
    const timer = setTimeout(() => child.kill('SIGKILL') && fail('No answer'), shellMs);
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text;
      if (output.includes(end)) child.stdin.end();
    });
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      const [from, to] = [output.lastIndexOf(begin), output.lastIndexOf(end)];
      if (code !== 0 || from < 0 || to < from) fail(`factoryctl console ended with ${code}`);
      else resolve(output.slice(from + begin.length, to));
    });
    child.stdin.write(line);
  });
}
