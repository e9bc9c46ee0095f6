/** Three real hosts, made to be hurt: a local cluster whose programs are kept by the trial, so that one can be left down for a while. */
import { cpSync, existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runningProcess } from '#cli/local/keeper.ts';
import { fabricOf, type Program } from '#cli/local/programs.ts';
import { type LocalSettings, localPaths, readSettings } from '#cli/local/settings.ts';
import { wirePort } from '#cli/pretend-host/fabric.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isRunning, signalProcess } from '#lib/std/process-identity.ts';
import {
  placeGuestImage,
  type RealCluster,
  type RealHostView,
  startRealCluster,
  untilStoreMounted,
} from '../../real-cluster.ts';
import { Keeper } from '../faults/keeper.ts';

const hostCount = 3;

export interface LabHost extends RealHostView {
  /** Of the programs that the keeper keeps: the host itself, and its Mesos agent. */
  readonly program: string;
  readonly agent: string;
  /** Its end in the wire. */
  readonly port: string;
}

export interface Lab extends AsyncDisposable {
  readonly cluster: RealCluster;
  readonly hosts: readonly LabHost[];
  readonly keeper: Keeper;
  /** Network namespace of the wire. */
  readonly fabric: string;
  /** Copies logs and sandboxes as they are now. */
  copyTo(folder: string): void;
}

export async function startLab(): Promise<Lab> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startRealCluster({ hosts: hostCount, hostCpus: 4, hostMem: '1Gi' }));
  const { dir } = cluster;
  await placeGuestImage(dir);
  await untilStoreMounted(cluster);
  await endOwnKeeper(dir);
  const programs = JSON.parse(readFileSync(localPaths(dir).programs, 'utf8')) as readonly Program[];
  const keeper = stack.use(new Keeper(dir, programs));
  const settings = readSettings(dir)!;
  const running = stack.move();
  return {
    ...{ cluster, keeper, fabric: fabricOf(settings) },
    hosts: cluster.hosts.map((host) => labHost(settings, host)),
    copyTo: (folder) => copy(dir, folder),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function labHost({ hosts }: LocalSettings, host: RealHostView): LabHost {
  const number = hosts.findIndex(({ name }) => name === host.name) + 1;
  return { ...host, program: `host-of-${host.name}`, agent: `agent-${host.name}`, port: wirePort(number) };
}

async function endOwnKeeper(dir: string): Promise<void> {
  const keeper = runningProcess(dir, 'keeper');
  if (!keeper) return;
  signalProcess(keeper.pid, 'SIGKILL');
  while (isRunning(keeper)) await systemClock.sleep(20);
}

/** Not the images, which are a mount, nor disks. */
function copy(dir: string, folder: string): void {
  const hosts = hostNames(dir);
  const parts = [
    'logs',
    'mesos',
    ...hosts.flatMap((host) => [`hosts/${host}/machine/log`, `hosts/${host}/machine/host.log`]),
  ];
  for (const part of parts.filter((each) => existsSync(join(dir, each))))
    cpSync(join(dir, part), join(folder, part), { recursive: true, filter: (file) => !lstatSync(file).isSocket() });
}

function hostNames(dir: string): readonly string[] {
  return readSettings(dir)?.hosts.map(({ name }) => name) ?? [];
}
