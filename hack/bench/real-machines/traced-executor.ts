/**
 * The executor's worker with a stopwatch at what it asks of its host: traced-executor.ts CONFIG TRACE runs it as Mesos would, with the
 * environment that agents give, and appends a line of JSON to TRACE for each step and each command when that has ended.
 */
import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';
import { readConfig } from '#executor/config.ts';
import { runExecutor } from '#executor/executor.ts';
import { openHost } from '#executor/host.ts';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog } from '#lib/std/log.ts';
import { runMain, UsageError } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import { readExecutorEnvironment } from '#mesos/executor-environment.ts';
import type { Trace } from './trace.ts';

const log = jsonLog('bench-executor');

await runMain(log, async (stack, signal) => {
  const [configFile, traceFile] = process.argv.slice(2);
  if (!configFile || !traceFile) throw new UsageError('Usage: traced-executor.ts CONFIG TRACE');
  const record = (trace: Trace) => appendFileSync(traceFile, `${JSON.stringify(trace)}\n`);
  const config = readConfig(configFile);
  const real = await openHost(config, systemClock, log);
  stack.use(real.hypervisor);
  subscribe('child_process', (message) => watchCommand((message as { process: ChildProcess }).process, record));
  const host = {
    ...real,
    hypervisor: timed(real.hypervisor, 'libvirt', record),
    devices: timed(real.devices, 'host', record),
  };
  const common = { clock: systemClock, random: systemRandom, log };
  const environment = readExecutorEnvironment(process.env);
  await runExecutor({ config, environment, incarnation: systemRandom.uuid(), host, ...common }, signal);
});

/** Every method that gives a promise leaves a line when that has settled. */
function timed<T extends object>(target: T, whose: string, record: (trace: Trace) => void): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== 'function' || typeof name !== 'string') return value;
      return (...args: readonly unknown[]) => {
        const started = systemClock.monotonic();
        const result: unknown = value.apply(object, args);
        if (!(result instanceof Promise)) return result;
        return result.finally(() => record({ step: `${whose}.${name}`, ms: systemClock.monotonic() - started }));
      };
    },
  });
}

function watchCommand(child: ChildProcess, record: (trace: Trace) => void): void {
  const started = systemClock.monotonic();
  child.once('exit', () => record({ command: commandName(child.spawnargs), ms: systemClock.monotonic() - started }));
}

/** `ip netns exec NAME nft …` is nft; `prlimit … qemu-img create …` is prlimit with its walls. */
function commandName(args: readonly string[]): string {
  const inNamespace = args.slice(0, 3).join(' ') === 'ip netns exec';
  return basename(args[inNamespace ? 4 : 0] ?? '');
}
