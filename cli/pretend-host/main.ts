/**
 * factory-pretend-host --name NAME --dir DIR: starts a pretended host, or finds it running, and stays until it ends (exit code 1, so that a
 * keeper starts it again: a reboot) or until SIGTERM, which stops it. kill -9 of this program leaves the host running.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog } from '#lib/std/log.ts';
import { runMain, UsageError } from '#lib/std/main.ts';
import { isPretendHostRunning, startPretendHost, stopPretendHost } from './pretend-host.ts';

const log = jsonLog('factory-pretend-host');

await runMain(log, async (stack, signal) => {
  const { values } = parseArgs({ options: { name: { type: 'string' }, dir: { type: 'string' } } });
  const { name, dir } = values;
  if (!name || !dir) throw new UsageError('Usage: factory-pretend-host --name NAME --dir DIRECTORY');
  stack.defer(() => stopPretendHost({ name, dir }));
  const host = await startPretendHost({ name, dir });
  log.info('Host is up', { netns: host.netns, socket: host.socket, init: host.pid });
  while (isPretendHostRunning(dir)) await systemClock.sleep(500, signal);
  throw new Error('The host lost its power');
});
