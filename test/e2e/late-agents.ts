/** Hosts that join a running local cluster: agents of the local Mesos started by a test, as an administrator would add machines. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runningProcess, startDetached } from '#cli/local/keeper.ts';
import { type Program, programsOf, writePrograms } from '#cli/local/programs.ts';
import { type LocalHost, type LocalSettings, localPaths, readSettings } from '#cli/local/settings.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { signalProcess } from '#lib/std/process-identity.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { LocalCluster } from './local-cluster.ts';

export async function startLateAgents(cluster: LocalCluster, count: number, cores: number): Promise<AsyncDisposable> {
  const settings = readSettings(cluster.dir)!;
  const hosts: LocalHost[] = [];
  for (let index = 0; index < count; index += 1) {
    hosts.push({
      name: `late-${index}`,
      hypervisor: 'sim',
      port: await freePort(),
      cores,
      memoryMiB: cores * 2048 + 8192,
    });
  }
  const more: LocalSettings = { ...settings, hosts };
  const agents = programsOf(more).filter(({ name }) => name.startsWith('agent-'));
  writeHosts(settings, more);
  for (const agent of agents) startDetached(cluster.dir, agent);
  return {
    async [Symbol.asyncDispose]() {
      for (const { name } of agents) {
        const identity = runningProcess(cluster.dir, name);
        if (identity) signalProcess(identity.pid, 'SIGTERM');
      }
    },
  };
}

/** executor.json and boot id of the new hosts; the list of programs that the keeper has stays as it was. */
function writeHosts(settings: LocalSettings, more: LocalSettings): readonly Program[] {
  const { dir } = settings.options;
  const programs = writePrograms(more);
  for (const { name } of more.hosts)
    writeFileSync(join(localPaths(dir).host(name), 'boot-id'), `${systemRandom.uuid()}\n`);
  writePrograms(settings);
  return programs;
}
