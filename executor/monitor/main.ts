/** factory-monitor: one per host. Reserves for machines what the host's own services leave free. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog } from '#lib/std/log.ts';
import { runMain } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import { operatorClient } from '#mesos/operator.ts';
import { readSettings } from './config.ts';
import { flagsOf, usage } from './flags.ts';
import { linuxHost } from './linux.ts';
import { memoryFile } from './memory-file.ts';
import { Monitor, runMonitor } from './monitor.ts';

const log = jsonLog('factory-monitor');

await runMain(log, async (stack, signal) => {
  const flags = flagsOf(process.argv.slice(2));
  if (flags.help) return void process.stdout.write(`${usage}\n`);
  const { role, hostRole, root, stateDir, share, policy } = readSettings(flags.config);
  const { principal, ...access } = flags.access;
  const clock = systemClock;
  const operator = stack.use(
    operatorClient({ masters: flags.masters, ...access, clock, log, ...{ random: systemRandom } }),
  );
  const options = {
    ...{ operator, share, clock, log, random: systemRandom },
    hostname: flags.hostname ?? hostname(),
    identity: { role, hostRole, ...(principal && { principal }) },
    readHost: linuxHost({ clock, root }),
    store: memoryFile(join(stateDir, 'monitor.json')),
    policy,
  };
  if (flags.release) {
    const monitor = new Monitor(options);
    while (await monitor.release()) log.info('More may be there');
  } else if (flags.check) {
    const seen = await new Monitor(options).check(signal);
    process.stdout.write(`${JSON.stringify(seen, null, 2)}\n`);
  } else await runMonitor(options, signal);
});
