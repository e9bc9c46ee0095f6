/** mesos-local-master: a small Mesos master for laptops, demonstrations and tests. It ends with code 1 when it leads no more. */
import { readFileSync } from 'node:fs';
import { messageOf } from '#lib/std/errors.ts';
import { jsonLog, type LogLevel } from '#lib/std/log.ts';
import { aborted, runMain, UsageError } from '#lib/std/main.ts';
import { count, given, readFlags, required, seconds } from '../flags.ts';
import { parseListen, serverTls } from '../http.ts';
import { type Acls, mayRunBy } from './acls.ts';
import type { Credential } from './authentication.ts';
import { startMaster } from './master.ts';

const usage = `Usage: mesos-local-master --listen HOST:PORT --work-dir DIR
  [--allocation-interval SECONDS] [--offer-timeout SECONDS] [--credentials FILE] [--acls FILE]
  [--agent-ping-timeout SECONDS] [--max-agent-ping-timeouts N]
  [--agent-reregister-timeout SECONDS] [--zk zk://HOST:PORT,HOST:PORT/PATH] [--zk-session-timeout SECONDS] [--log-level debug|info|warn|error]

With --zk several masters stand for election through ZooKeeper; they share one work directory, as Mesos' masters share a replicated log.`;
const names = [
  'listen',
  'work-dir',
  'allocation-interval',
  'offer-timeout',
  'acls',
  'credentials',
  'agent-ping-timeout',
  'max-agent-ping-timeouts',
  'agent-reregister-timeout',
  'zk',
  'zk-session-timeout',
];

function readJson<T>(file: string): T {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch (cause) {
    throw new UsageError(`Cannot read ${file}: ${messageOf(cause)}`);
  }
}

/** A file without a list is refused: it would let everybody in. */
function readCredentials(file: string): readonly Credential[] {
  const { credentials } = readJson<{ readonly credentials?: readonly Credential[] }>(file);
  if (!Array.isArray(credentials)) throw new UsageError(`${file} has no list "credentials"`);
  return credentials;
}

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
        offerTimeoutMs: seconds(flags, 'offer-timeout'),
        mayRun: flags.acls === undefined ? undefined : mayRunBy(readJson<Acls>(flags.acls)),
        credentials: flags.credentials === undefined ? undefined : readCredentials(flags.credentials),
        agentPingTimeoutMs: seconds(flags, 'agent-ping-timeout'),
        maxAgentPingTimeouts: count(flags, 'max-agent-ping-timeouts'),
        agentReregisterTimeoutMs: seconds(flags, 'agent-reregister-timeout'),
        zk: flags.zk,
        zkSessionTimeoutMs: seconds(flags, 'zk-session-timeout'),
      }),
      tls: serverTls(process.env),
      log: leveled,
    }),
  );
  leveled.info('Serving', { url: master.url, id: master.id });
  const lost = await Promise.race([aborted(signal), master.lost]);
  // As Mesos' masters do: what it holds in memory is of no more use, and the next start is a clean one.
  if (lost !== undefined) throw new Error(`Lost leadership... committing suicide! ${lost}`);
});
