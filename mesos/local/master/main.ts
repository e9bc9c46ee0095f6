/** mesos-local-master: a small Mesos master for laptops, demonstrations and tests. */
import { jsonLog, type LogLevel } from '#lib/std/log.ts';
import { aborted, runMain } from '#lib/std/main.ts';
import { count, given, readFlags, required, seconds } from '../flags.ts';
import { parseListen } from '../http.ts';
import { startMaster } from './master.ts';

const usage = `Usage: mesos-local-master --listen HOST:PORT --work-dir DIR
  [--allocation-interval SECONDS] [--agent-ping-timeout SECONDS] [--max-agent-ping-timeouts N]
  [--agent-reregister-timeout SECONDS] [--log-level debug|info|warn|error]`;
const names = [
  'listen',
  'work-dir',
  'allocation-interval',
  'agent-ping-timeout',
  'max-agent-ping-timeouts',
  'agent-reregister-timeout',
];

const log = jsonLog('mesos-local-master');
await runMain(log, async (stack, signal) => {
  const flags = readFlags(names, usage);
  const leveled = jsonLog('mesos-local-master', (flags['log-level'] ?? 'info') as LogLevel);
  const master = stack.use(
    await startMaster({
      ...parseListen(flags.listen ?? '127.0.0.1:5050'),
      workDir: required(flags, 'work-dir', usage),
      ...given({
        allocationIntervalMs: seconds(flags, 'allocation-interval'),
        agentPingTimeoutMs: seconds(flags, 'agent-ping-timeout'),
        maxAgentPingTimeouts: count(flags, 'max-agent-ping-timeouts'),
        agentReregisterTimeoutMs: seconds(flags, 'agent-reregister-timeout'),
      }),
      log: leveled,
    }),
  );
  leveled.info('Serving', { url: master.url, id: master.id });
  await aborted(signal);
});
