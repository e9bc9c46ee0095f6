/** A local cluster of one host whose machines are real, and what a test asks of it from the outside: virsh, consoles, processes, files. */
import { execFile, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { masterUrl, netnsOf } from '#cli/local/programs.ts';
import { type LocalHost, localPaths, readSettings } from '#cli/local/settings.ts';
import { IPLease, VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { operatorClient } from '#mesos/operator.ts';
import { type LocalCluster, must, root, run, startLocalCluster } from './local-cluster.ts';

const exec = promisify(execFile);
const shellMs = 60_000;
const hypervisorPath = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

export interface RealCluster extends LocalCluster {
  /** Network namespace of the host. */
  readonly netns: string;
  /** The executor's directory on the host. */
  readonly executorDir: string;
  virsh(...args: readonly string[]): Promise<string>;
  /** Names of the running domains, which are made of uids. */
  runningDomains(): Promise<readonly string[]>;
  /** What the guest printed since it was made. */
  consoleLog(vm: VirtualMachine): string;
  /** Types a line on the serial console, through the API server; gives what was printed until the command ended. */
  shell(name: string, command: string): Promise<string>;
  /** uid: pid of its QEMU. */
  qemus(): Readonly<Record<string, number>>;
  /** What machines have left on the host, in the API and in Mesos; all empty when there are none. */
  remains(): Promise<Remains>;
}

export interface Remains {
  readonly domains: readonly string[];
  /** Overlays, seeds, console logs and sockets. */
  readonly machineFiles: readonly string[];
  /** Bridges and taps. */
  readonly links: readonly string[];
  readonly filterRules: string;
  readonly dnsmasqs: readonly number[];
  /** Guests, options and leases of DHCP servers. */
  readonly dhcpFiles: readonly string[];
  readonly qemus: readonly string[];
  readonly machines: readonly string[];
  readonly leases: readonly string[];
  readonly tasks: readonly string[];
}

export async function startRealCluster(namespace: string, hostCpus = 4): Promise<RealCluster> {
  const cluster = await startLocalCluster({ hypervisor: 'libvirt', hosts: 1, hostCpus, hostMem: '2Gi' });
  const settings = readSettings(cluster.dir)!;
  const host: LocalHost = settings.hosts[0]!;
  const hostDir = localPaths(cluster.dir).host(host.name);
  const executorDir = join(hostDir, 'executor');
  const socket = join(hostDir, 'machine/run/libvirt-sock');
  const netns = netnsOf(settings, host);
  const inHost = async (...args: readonly string[]) =>
    (
      await exec('ip', ['netns', 'exec', netns, ...args], {
        env: { ...process.env, PATH: hypervisorPath },
      })
    ).stdout;
  const virsh = async (...args: readonly string[]) =>
    await must(run('virsh', ['-c', `qemu:///system?socket=${socket}`, ...args]));
  const qemus = () => {
    const found = commandsIn(executorDir).flatMap(({ pid, command }) => {
      const uid = /guest=cf-([0-9a-f-]{36})/.exec(command)?.[1];
      return uid === undefined ? [] : [[uid, pid] as const];
    });
    return Object.fromEntries(found);
  };
  return {
    ...cluster,
    netns,
    executorDir,
    virsh,
    qemus,
    runningDomains: async () => words(await virsh('list', '--name')).sort(),
    consoleLog: ({ metadata }) => {
      const file = join(executorDir, 'vms', metadata.uid, 'console.log');
      return existsSync(file) ? readFileSync(file, 'latin1') : '';
    },
    shell: (name, command) => typed(cluster, namespace, name, command),
    async remains() {
      const links = JSON.parse(await inHost('ip', '-json', 'link')) as readonly { ifname: string }[];
      const [machines, leases] = await Promise.all([cluster.client.list(VirtualMachine), cluster.client.list(IPLease)]);
      await using mesos = operatorClient({ masters: [masterUrl(settings)], clock: systemClock });
      const tasks = await mesos.tasks();
      return {
        domains: words(await virsh('list', '--all', '--name')),
        machineFiles: ['vms', 'tty'].flatMap((folder) => filesBelow(join(executorDir, folder))),
        links: links.map(({ ifname }) => ifname).filter((name) => name !== 'lo'),
        filterRules: await inHost('nft', 'list', 'ruleset'),
        dnsmasqs: commandsIn(executorDir).flatMap(({ pid, command }) => (command.startsWith('dnsmasq ') ? [pid] : [])),
        dhcpFiles: filesBelow(join(executorDir, 'network')),
        qemus: Object.keys(qemus()),
        machines: machines.items.map(({ metadata }) => metadata.name),
        leases: leases.items.map(({ metadata }) => metadata.name),
        tasks: [tasks.tasks, tasks.pending_tasks, tasks.unreachable_tasks, tasks.orphan_tasks]
          .flatMap((list) => list ?? [])
          .map(({ task_id }) => task_id.value),
      };
    },
  };
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

let commands = 0;

/** The console replays its past first: what this command printed stands between marks of its own. */
function typed(cluster: LocalCluster, namespace: string, name: string, command: string): Promise<string> {
  commands += 1;
  const [begin, end] = [`BEGIN-${process.pid}-${commands}`, `END-${process.pid}-${commands}`];
  // The echo of the typed line must not look like the marks: the guest's shell takes the quotes away.
  const line = `echo ${begin.replace('-', '"-"')}; ${command}; echo ${end.replace('-', '"-"')}\n`;
  const child = spawn(join(root, 'bin/factoryctl'), ['console', 'vm', name, '-n', namespace], {
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
