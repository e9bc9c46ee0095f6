/**
 * factory-pretend-host --name NAME --dir DIR [--fabric NAME --number N [--store DIR --store-servers ADDRESS,…]] [--mounts DIR]: starts a pretended host,
 * or finds it running, and stays until it ends (exit code 1, so that a keeper starts it again: a reboot) or until SIGTERM, which stops it.
 * kill -9 of this program leaves the host running.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog } from '#lib/std/log.ts';
import { runMain, UsageError } from '#lib/std/main.ts';
import { isPretendHostRunning, startPretendHost, stopPretendHost } from './pretend-host.ts';

const log = jsonLog('factory-pretend-host');

await runMain(log, async (stack, signal) => {
  const { values } = parseArgs({
    options: {
      name: { type: 'string' },
      dir: { type: 'string' },
      fabric: { type: 'string' },
      number: { type: 'string' },
      store: { type: 'string' },
      'store-servers': { type: 'string' },
      mounts: { type: 'string' },
    },
  });
  const { name, dir, fabric, number, store: place, 'store-servers': servers, mounts } = values;
  if (!name || !dir || (fabric === undefined) !== (number === undefined) || (place === undefined) !== !servers) {
    const store = '[--store DIRECTORY --store-servers ADDRESS,…] [--mounts DIRECTORY]';
    throw new UsageError(`Usage: factory-pretend-host --name NAME --dir DIRECTORY [--fabric NAME --number N] ${store}`);
  }
  const store = place && servers ? { place, servers: servers.split(',') } : undefined;
  const wire = fabric === undefined ? undefined : { fabric, number: Number(number) };
  stack.defer(() => stopPretendHost({ name, dir }));
  const host = await startPretendHost({ name, dir, wire, store, mounts });
  log.info('Host is up', { netns: host.netns, socket: host.socket, init: host.pid });
  while (isPretendHostRunning(dir)) await systemClock.sleep(500, signal);
  throw new Error('The host lost its power');
});
