/**
 * Does the executor's work under main.ts. The first line on standard input says which life of the executor this is; when standard input
 * closes, the supervisor is dead, Mesos has counted the executor as dead with it, and this process must be gone before the next one comes.
 * Exit code 0 means that it ended on purpose; anything else has the supervisor start another worker.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog } from '#lib/std/log.ts';
import { runMain } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import { readExecutorEnvironment } from '#mesos/executor-environment.ts';
import { configFile, readConfig } from './config.ts';
import { runExecutor } from './executor.ts';
import { openHost } from './host.ts';
import type { Orders } from './supervisor.ts';

const log = jsonLog('factory-executor');

await runMain(log, async (stack, signal) => {
  const { incarnation, token, version: supervisorVersion } = await readOrders();
  const config = readConfig(configFile(process.env));
  const environment = { ...readExecutorEnvironment(process.env), ...(token === undefined ? {} : { token }) };
  const host = await openHost(config, systemClock, log);
  stack.use(host.hypervisor);
  stack.use(host.storage);
  const end = await runExecutor(
    { config, environment, incarnation, supervisorVersion, host, clock: systemClock, random: systemRandom, log },
    signal,
  );
  log.info('The executor has ended', { end });
});

async function readOrders(): Promise<Orders> {
  const lines = createInterface({ input: process.stdin });
  // Not by way of the signal: domains need no goodbye, and a new executor may already be on its way.
  lines.once('close', () => process.exit(3));
  const [line] = (await once(lines, 'line')) as [string];
  return JSON.parse(line) as Orders;
}
