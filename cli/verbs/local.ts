import { resolve } from 'node:path';
import { UsageError } from '#lib/std/main.ts';
import { defaultDir } from '../local/default-dir.ts';
import { localDown } from '../local/down.ts';
import type { HypervisorChoice, LocalOptions } from '../local/settings.ts';
import { localStatus } from '../local/status.ts';
import { localUp } from '../local/up.ts';
import { parseFlags, readCount, type Verb } from '../verb.ts';

const defaults: LocalOptions = {
  dir: defaultDir,
  port: 6443,
  hosts: 5,
  hostCpus: 48,
  hostMem: '96Gi',
  store: 'sqlite',
  mesos: 'local',
  hypervisor: 'auto',
};

export const local: Verb = {
  name: 'local',
  summary: 'Start, stop or show a cluster on this computer',
  help: `Usage: factoryctl local up [flags]
       factoryctl local status [--dir D]
       factoryctl local down [--dir D] [--keep-data]

Examples:
  factoryctl local up --wait
  factoryctl local up --dir /tmp/second --port 6444 --hosts 10 --host-cpus 20 --hypervisor sim
  factoryctl local up --hypervisor libvirt --hosts 3 --host-cpus 4 --host-mem 2Gi
  factoryctl local up --store etcd://127.0.0.1:2379

Flags:
  --dir D            Everything of the cluster is in here (.factory/local in the project)
  --port P           Of the API server, on 127.0.0.1 (6443)
  --hosts N          Hosts (5)
  --host-cpus C      Cores that guests of one host can use (48)
  --host-mem M       Memory that guests of one host can use (96Gi)
  --store S          sqlite, or etcd://HOST:PORT[,HOST:PORT] (sqlite)
  --mesos M          local, the URL of a Mesos master, or zk://HOST:2181/PATH (local)
  --hypervisor H     auto: imitated hosts, and one small real one where libvirt can run; libvirt; sim (auto)
                     Real hosts have a libvirtd and a network of their own on this computer, and reach each other. Three of
                     them or more keep a copy of every image each, where GlusterFS is installed.
  --wait             Return when all hosts are ready
  --keep-data        local down: stop everything, keep the directory

"up" starts what does not run and leaves the rest alone. "down" leaves nothing behind.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('local', args, {
      dir: { type: 'string' },
      port: { type: 'string' },
      hosts: { type: 'string' },
      'host-cpus': { type: 'string' },
      'host-mem': { type: 'string' },
      store: { type: 'string' },
      mesos: { type: 'string' },
      hypervisor: { type: 'string' },
      wait: { type: 'boolean', default: false },
      'keep-data': { type: 'boolean', default: false },
    });
    const dir = resolve(values.dir ?? defaults.dir);
    const [verb, ...rest] = positionals;
    if (rest.length > 0) throw new UsageError(`Unexpected "${rest[0]}". See "factoryctl local --help".`);
    switch (verb) {
      case 'up':
        return await localUp(
          { ...readOptions(values), ...(values.dir ? { dir } : {}) },
          { ...defaults, dir },
          values.wait,
          out,
        );
      case 'down':
        return await localDown(dir, { keepData: values['keep-data'] }, out);
      case 'status':
        return localStatus(dir, out);
      default:
        throw new UsageError(
          `Say what to do with the local cluster: factoryctl local up, status or down${verb ? `, not "${verb}"` : ''}.`,
        );
    }
  },
};

interface Given {
  readonly port?: string | undefined;
  readonly hosts?: string | undefined;
  readonly 'host-cpus'?: string | undefined;
  readonly 'host-mem'?: string | undefined;
  readonly store?: string | undefined;
  readonly mesos?: string | undefined;
  readonly hypervisor?: string | undefined;
}

/** Only what was given, so that a second `up` without flags means the cluster that is there. */
function readOptions(given: Given): Partial<LocalOptions> {
  const { store, mesos, hypervisor } = given;
  if (store && store !== 'sqlite' && !store.startsWith('etcd://'))
    throw new UsageError(`--store takes sqlite or etcd://HOST:PORT, not "${store}".`);
  if (mesos && mesos !== 'local' && !/^(https?:\/\/|zk:\/\/[^/]+\/)/.test(mesos))
    throw new UsageError(`--mesos takes local, http://HOST:5050 or zk://HOST:2181/PATH, not "${mesos}".`);
  if (hypervisor && !['auto', 'libvirt', 'sim'].includes(hypervisor))
    throw new UsageError(`--hypervisor takes auto, libvirt or sim, not "${hypervisor}".`);
  return {
    ...(given.port ? { port: readCount('port', given.port) } : {}),
    ...(given.hosts ? { hosts: readCount('hosts', given.hosts) } : {}),
    ...(given['host-cpus'] ? { hostCpus: readCount('host-cpus', given['host-cpus']) } : {}),
    ...(given['host-mem'] ? { hostMem: given['host-mem'] } : {}),
    ...(store ? { store } : {}),
    ...(mesos ? { mesos } : {}),
    ...(hypervisor ? { hypervisor: hypervisor as HypervisorChoice } : {}),
  };
}
