/** `factoryctl local status`: the programs of a local cluster, one per line. */

import { statSync } from 'node:fs';
import { formatAge } from '#lib/api/duration.ts';
import { systemClock } from '#lib/std/clock.ts';
import type { Output } from '../output.ts';
import { printTable } from '../table.ts';
import { runFile, runningProcess } from './keeper.ts';
import { programsOf } from './programs.ts';
import { localPaths, readSettings } from './settings.ts';

/** Exit code 0 if everything runs, 1 if something does not, 1 if there is no cluster. */
export function localStatus(dir: string, out: Output): number {
  const settings = readSettings(dir);
  if (!settings) {
    out.line(`No local cluster in ${dir}. Start one with "factoryctl local up".`);
    return 1;
  }
  const programs = ['keeper', ...programsOf(settings).map(({ name }) => name)].map((name) => ({
    name,
    identity: runningProcess(dir, name),
  }));
  const rows = programs.map(({ name, identity }) =>
    identity
      ? [name, 'Running', String(identity.pid), formatAge(systemClock.now() - statSync(runFile(dir, name)).mtimeMs)]
      : [name, 'Stopped', '', ''],
  );
  printTable(['PROGRAM', 'STATUS', 'PID', 'AGE'], rows, out);
  const { port, store, mesos } = settings.options;
  out.line('');
  out.line(`API server  https://127.0.0.1:${port}`);
  out.line(`Store       ${store}`);
  out.line(`Mesos       ${mesos}`);
  out.line(
    `Hosts       ${settings.hosts.map(({ name, hypervisor, cores }) => `${name} (${hypervisor}, ${cores} cores)`).join(', ')}`,
  );
  out.line(`Kubeconfig  ${localPaths(dir).kubeconfig}`);
  return programs.every(({ identity }) => identity) ? 0 : 1;
}
