/**
 * Many imitated hosts in one process: agents of the local Mesos whose executors run beside them, both speaking HTTP as always. Started as a
 * process of its own, so that its work is not on the event loop of what is measured: fleet.ts MASTER_URL DIR FIRST COUNT CORES MEMORY_MIB BOOT_MS
 * makes host-FIRST and the COUNT - 1 that follow it. Prints "ready" when all agents are served.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '#executor/config.ts';
import { startExecutor } from '#executor/start.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { aborted, runMain, UsageError } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import { readExecutorEnvironment } from '#mesos/executor-environment.ts';
import { startAgent } from '#mesos/local/agent/agent.ts';
import type { Launcher } from '#mesos/local/agent/launcher.ts';
import type { Resource } from '#mesos/types.ts';

const executorShare = { cores: 0.5, memoryMiB: 512 };

function scalar(name: string, value: number): Resource {
  return { name, type: 'SCALAR', scalar: { value } };
}

/** Runs the executor in this process instead of starting the command. */
function launcherFor(configFile: string): Launcher {
  return {
    launch(_command, environment) {
      const config = readConfig(configFile);
      const incarnation = systemRandom.uuid();
      const running = startExecutor({
        config,
        environment: readExecutorEnvironment({ ...environment }),
        incarnation,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
      });
      const exited = running.then(({ ended }) => ended).then(() => 0);
      return { exited, kill: () => void running.then((executor) => executor[Symbol.asyncDispose]()) };
    },
  };
}

function writeConfig(dir: string, name: string, bootMs: number): string {
  const root = join(dir, name);
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'boot-id'), `${systemRandom.uuid()}\n`);
  const config = {
    hypervisor: 'sim',
    root,
    imageStore: join(dir, 'images'),
    importDir: join(dir, 'imports'),
    allowPrivateSources: ['127.0.0.0/8'],
    bootIdFile: join(root, 'boot-id'),
    sim: { bootMs },
  };
  writeFileSync(join(root, 'executor.json'), JSON.stringify(config));
  return join(root, 'executor.json');
}

await runMain(silentLog, async (stack, signal) => {
  const [master, dir, first, count, cores, memoryMiB, bootMs] = process.argv.slice(2);
  if (!master || !dir || !bootMs)
    throw new UsageError('Usage: fleet.ts MASTER_URL DIR FIRST COUNT CORES MEMORY_MIB BOOT_MS');
  for (let index = 0; index < Number(count); index += 1) {
    const hostname = `host-${Number(first) + index}`;
    const launcher = launcherFor(writeConfig(dir, hostname, Number(bootMs)));
    const resources = [
      scalar('cpus', Number(cores) + executorShare.cores),
      scalar('mem', Number(memoryMiB) + executorShare.memoryMiB),
      scalar('disk', 1e6),
    ];
    stack.use(
      await startAgent({ master, workDir: join(dir, hostname, 'agent'), hostname, port: 0, resources, launcher }),
    );
  }
  process.stdout.write('ready\n');
  await aborted(signal);
});
