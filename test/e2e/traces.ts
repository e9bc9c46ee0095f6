/** What a local cluster has outside its directory, looked at while it runs and again after `local down`. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fabricOf, marker, netnsOf } from '#cli/local/programs.ts';
import { readSettings } from '#cli/local/settings.ts';
import { processesMarked } from '#lib/std/process-identity.ts';
import { commandsIn } from './real-cluster.ts';

export interface Traces {
  /** Its programs, QEMUs, DHCP servers, and all else that lives in the network namespaces of its hosts. */
  readonly processes: readonly number[];
  readonly namespaces: readonly string[];
  readonly mounts: readonly string[];
  readonly directory: readonly string[];
}

export const noTraces: Traces = { processes: [], namespaces: [], mounts: [], directory: [] };

/** To be called while the cluster runs: afterwards nothing says which namespaces were its own. */
export function tracer(dir: string): () => Traces {
  const settings = readSettings(dir)!;
  const real = settings.hosts.filter(({ hypervisor }) => hypervisor === 'libvirt');
  const names = [...real.map((host) => netnsOf(settings, host)), ...(real.length > 0 ? [fabricOf(settings)] : [])];
  const mountsNow = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const inodes = names.flatMap((name) => {
    const line = mountsNow.find((mount) => mount.includes(`/run/netns/${name} `));
    return line ? [/net:\[\d+\]/.exec(line)![0]] : [];
  });
  return () => {
    const inNamespaces = pids().filter((pid) => inodes.includes(networkOf(pid)));
    const processes = [...processesMarked(marker, dir), ...commandsIn(dir)].map(({ pid }) => pid);
    return {
      processes: [...new Set([...processes, ...inNamespaces])],
      namespaces: names.filter((name) => existsSync(`/run/netns/${name}`)),
      mounts: readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(dir) || names.some((name) => line.includes(name))),
      directory: existsSync(dir) ? readdirSync(dir) : [],
    };
  };
}

const pids = () => readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? [Number(entry)] : []));

function networkOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return ''; // it ended between the list and the look
  }
}
