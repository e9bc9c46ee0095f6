/** mesos-local-agent: a small Mesos agent. Ending it leaves its executors running; started again it takes them up. */
import { jsonLog, type LogLevel } from '#lib/std/log.ts';
import { aborted, runMain, UsageError } from '#lib/std/main.ts';
import { given, readFlags, required, seconds } from '../flags.ts';
import { parseListen, serverTls } from '../http.ts';
import { parseAttributes, parseResources } from '../resources.ts';
import { startAgent } from './agent.ts';

const usage = `Usage: mesos-local-agent --listen HOST:PORT --master http://HOST:PORT|zk://HOST:PORT/PATH --work-dir DIR --hostname NAME
  --resources 'cpus:48;mem:98304;disk:100000' [--attributes 'key:value;...'] [--executor-environment JSON]
  [--reconfiguration-policy equal|additive] [--executor-registration-timeout SECONDS]
  [--executor-reregistration-timeout SECONDS] [--log-level debug|info|warn|error]`;
const names = [
  'listen',
  'master',
  'work-dir',
  'hostname',
  'resources',
  'attributes',
  'executor-environment',
  'reconfiguration-policy',
  'executor-registration-timeout',
  'executor-reregistration-timeout',
];

function environmentFrom(text: string): Record<string, string> {
  try {
    const value: unknown = JSON.parse(text);
    const isFlat =
      typeof value === 'object' && value !== null && Object.values(value).every((entry) => typeof entry === 'string');
    if (isFlat) return value as Record<string, string>;
  } catch {
    // Said below, together with JSON of another shape.
  }
  throw new UsageError(`--executor-environment is not a JSON object of strings: ${text}`);
}

function policyFrom(text: string): 'equal' | 'additive' {
  if (text === 'equal' || text === 'additive') return text;
  throw new UsageError(`--reconfiguration-policy is "${text}": want equal or additive`);
}

const log = jsonLog('mesos-local-agent');
await runMain(log, async (stack, signal) => {
  const flags = readFlags(names, usage);
  const leveled = jsonLog('mesos-local-agent', (flags['log-level'] ?? 'info') as LogLevel);
  const agent = stack.use(
    await startAgent({
      ...parseListen(flags.listen ?? '127.0.0.1:5051'),
      master: required(flags, 'master', usage).replace(/\/$/, ''),
      workDir: required(flags, 'work-dir', usage),
      hostname: required(flags, 'hostname', usage),
      resources: parseResources(required(flags, 'resources', usage)),
      attributes: parseAttributes(flags.attributes ?? ''),
      executorEnvironment: environmentFrom(flags['executor-environment'] ?? '{}'),
      reconfigurationPolicy: policyFrom(flags['reconfiguration-policy'] ?? 'equal'),
      ...given({
        executorRegistrationTimeoutMs: seconds(flags, 'executor-registration-timeout'),
        executorReregistrationTimeoutMs: seconds(flags, 'executor-reregistration-timeout'),
      }),
      tls: serverTls(process.env),
      log: leveled,
    }),
  );
  leveled.info('Serving', { url: agent.url });
  const gone = await Promise.race([aborted(signal), agent.gone]);
  if (gone !== undefined) leveled.warn('Agent asked to shut down by the master', { reason: gone });
});
