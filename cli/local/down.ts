/** Stops a local cluster and everything that it started, wherever it ended up. */
import { rmSync } from 'node:fs';
import { systemClock } from '#lib/std/clock.ts';
import { isRunning, type ProcessIdentity, processesMarked, signalProcess } from '#lib/std/process-identity.ts';
import type { Output } from '../output.ts';
import { removeFabric } from '../pretend-host/fabric.ts';
import { removeMounts } from '../pretend-host/mounts.ts';
import { stopPretendHost } from '../pretend-host/pretend-host.ts';
import { runningProcess } from './keeper.ts';
import { fabricOf, marker, mountsOf, netnsOf, programsOf } from './programs.ts';
import { localPaths, readSettings, realHosts } from './settings.ts';

const graceMs = 10_000;
const killMs = 10_000;

/** Ends by pid and start time only. Returns what does not end even by SIGKILL, which is a fault worth telling. */
async function endAll(processes: readonly ProcessIdentity[]): Promise<readonly ProcessIdentity[]> {
  for (const [signal, limitMs] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', killMs],
  ] as const) {
    const left = processes.filter(isRunning);
    for (const { pid } of left) signalProcess(pid, signal);
    const deadline = systemClock.monotonic() + limitMs;
    while (left.some(isRunning) && systemClock.monotonic() < deadline) await systemClock.sleep(50);
  }
  return processes.filter(isRunning);
}

/** `factoryctl local down`. Returns the exit code. */
export async function localDown(dir: string, options: { readonly keepData: boolean }, out: Output): Promise<number> {
  const settings = readSettings(dir);
  if (!settings) {
    out.line(`No local cluster in ${dir}: nothing to stop.`);
    return 0;
  }
  const named = [
    'keeper',
    ...programsOf(settings)
      .map(({ name }) => name)
      .reverse(),
  ];
  // The keeper first, or it would start again what we end.
  for (const name of named) {
    const identity = runningProcess(dir, name);
    if (!identity) continue;
    out.progress(`Stopping ${name}`);
    const stuck = await endAll([identity]);
    if (stuck.length > 0) return failed(dir, stuck, out);
  }
  out.progress('Stopping executors');
  const stuck = await endAll(processesMarked(marker, dir));
  if (stuck.length > 0) return failed(dir, stuck, out);
  for (const host of realHosts(settings.hosts)) {
    out.progress(`Removing the host of ${host.name}`);
    await stopPretendHost({ name: netnsOf(settings, host), dir: `${localPaths(dir).host(host.name)}/machine` });
    await removeMounts(mountsOf(settings, host));
  }
  await removeFabric(fabricOf(settings));
  // What was being started when its keeper was killed, and what takes a moment to end with its host.
  const late = await endAll(processesMarked(marker, dir));
  if (late.length > 0) return failed(dir, late, out);
  if (settings.imageStore === 'gluster') await removeMounts(localPaths(dir).images);
  if (!options.keepData) rmSync(dir, { recursive: true, force: true });
  out.line(`Stopped the local cluster in ${dir}${options.keepData ? '; its data is kept' : ' and removed its files'}.`);
  return 0;
}

function failed(dir: string, stuck: readonly ProcessIdentity[], out: Output): number {
  const pids = stuck.map(({ pid }) => pid).join(', ');
  out.error(
    `Cannot stop the local cluster in ${dir}: process ${pids} does not end by SIGKILL. Look at it with "ps -fp ${pids}", then run "factoryctl local down" again.`,
  );
  return 1;
}
