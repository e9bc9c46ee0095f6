import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { jsonLog } from '#lib/std/log.ts';
import { aborted, runMain, UsageError } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import { type AuditPolicy, defaultPolicy, readPolicy } from './audit/policy.ts';
import { readTokenFlags, tokenFlags, tokenUsage } from './auth/flags.ts';
import { waitForStore } from './bootstrap.ts';
import { defaultLimits, type FairnessLimits } from './fairness/fairness.ts';
import { parseDuration } from './http/duration.ts';
import { readCrds } from './resources/crd.ts';
import { type AuditOptions, startServer } from './server.ts';
import type { ShutdownTimes } from './shutdown.ts';
import { type EtcdTlsTexts, openStore } from './store/open.ts';

const usage = `Serves the kinds that CustomResourceDefinitions define and some of Kubernetes' own, in the way of a Kubernetes API server.

Usage: factory-apiserver [options]

  --listen HOST:PORT   where to listen; port 0 lets the system choose (default 127.0.0.1:6443)
  --store ADDRESS      sqlite:FILE, etcd://HOST:PORT[,HOST:PORT…] or, encrypted, etcds://HOST:PORT[,HOST:PORT…]
  --etcd-cafile FILE   who signed the certificates of etcd, PEM
  --etcd-certfile FILE our own certificate for etcd, PEM
  --etcd-keyfile FILE  its key, PEM
  --etcd-min-revision N   after a restore: lead the revisions of etcd beyond N, the newest that clients may hold
  --tls-cert FILE      certificate of the server, PEM
  --tls-key FILE       its key, PEM
  --client-ca FILE     client certificates signed by this authority are believed: CN is the user, O the groups
  --token-file FILE    bearer tokens: lines of token,user,uid,"group1,group2"
${tokenUsage}  --crds DIR           CustomResourceDefinitions to install at the start (default: those of this project)
  --shutdown-delay-duration D   when told to stop, go on for so long after /readyz has failed (default 500ms)
  --strict-transport-security-directives D   value of the header of that name (default: none is sent)
  --audit-log-path FILE     write down who asked for what, one JSON line for each stage of a request
  --audit-policy-file FILE  which requests, and how much of each: an audit.k8s.io/v1 Policy (default: all but probes, without bodies)
  --audit-log-maxsize MB    put the file aside before it grows larger (default 100)
  --audit-log-maxbackup N   keep so many of those (default 10)
  --max-requests-inflight N            reads worked on at once (default 400)
  --max-mutating-requests-inflight N   writes worked on at once (default 200)
  --user-requests-per-second N         how fast one user may go on (default 1000)
  --help               show this
`;

const storeDeadlineMs = 60_000;

const options = {
  listen: { type: 'string', default: '127.0.0.1:6443' },
  store: { type: 'string' },
  'etcd-cafile': { type: 'string' },
  'etcd-certfile': { type: 'string' },
  'etcd-keyfile': { type: 'string' },
  'etcd-min-revision': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'client-ca': { type: 'string' },
  'token-file': { type: 'string' },
  ...tokenFlags,
  crds: { type: 'string', default: join(import.meta.dirname, '../crds') },
  'shutdown-delay-duration': { type: 'string', default: '500ms' },
  'strict-transport-security-directives': { type: 'string', default: '' },
  'audit-log-path': { type: 'string' },
  'audit-policy-file': { type: 'string' },
  'audit-log-maxsize': { type: 'string', default: '100' },
  'audit-log-maxbackup': { type: 'string', default: '10' },
  'max-requests-inflight': { type: 'string', default: `${defaultLimits.maxRequestsInflight}` },
  'max-mutating-requests-inflight': { type: 'string', default: `${defaultLimits.maxMutatingRequestsInflight}` },
  'user-requests-per-second': { type: 'string', default: `${defaultLimits.userRate.perSecond}` },
  help: { type: 'boolean', default: false },
} as const;

type AuditName = 'audit-log-maxsize' | 'audit-log-maxbackup';
type CountName = AuditName | 'max-requests-inflight' | 'max-mutating-requests-inflight' | 'user-requests-per-second';
type EtcdName = 'etcd-cafile' | 'etcd-certfile' | 'etcd-keyfile';
type Name = EtcdName | 'audit-policy-file' | 'store' | 'tls-cert' | 'tls-key' | 'client-ca' | 'token-file';

function parse() {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\nSee factory-apiserver --help.`);
  }
}

function required(values: Readonly<Partial<Record<Name, string>>>, name: Name): string {
  const value = values[name];
  if (!value) throw new UsageError(`--${name} is missing. See factory-apiserver --help.`);
  return value;
}

function readRequired(values: Readonly<Partial<Record<Name, string>>>, name: Name): string {
  return readFile(name, required(values, name));
}

function readFile(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read --${name} ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readEtcdTls(values: Readonly<Partial<Record<EtcdName, string>>>): EtcdTlsTexts {
  const read = (name: EtcdName) => (values[name] ? readFile(name, values[name]) : undefined);
  return { ca: read('etcd-cafile'), certificate: read('etcd-certfile'), key: read('etcd-keyfile') };
}

function readMinRevision(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,18}$/.test(text)) throw new UsageError(`--etcd-min-revision is "${text}": write a resourceVersion`);
  return BigInt(text);
}

function readListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (!match || Number(match[3]) > 65_535) throw new UsageError(`Cannot listen on "${text}": write HOST:PORT`);
  return { host: match[1] ?? match[2]!, port: Number(match[3]) };
}

function readCount<N extends CountName>(values: Readonly<Record<N, string>>, name: N): number {
  const count = Number(values[name]);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new UsageError(`--${name} is "${values[name]}": write a whole number above 0`);
  return count;
}

function readAudit(
  values: Readonly<Record<AuditName, string> & { 'audit-log-path'?: string; 'audit-policy-file'?: string }>,
): {
  audit?: AuditOptions;
} {
  const path = values['audit-log-path'];
  const file = values['audit-policy-file'];
  if (!path) return {};
  return {
    audit: {
      path,
      policy: file ? readAuditPolicy(file) : defaultPolicy,
      maxBytes: readCount(values, 'audit-log-maxsize') * 1024 * 1024,
      maxBackups: readCount(values, 'audit-log-maxbackup'),
    },
  };
}

function readAuditPolicy(file: string): AuditPolicy {
  try {
    return readPolicy(readFile('audit-policy-file', file));
  } catch (error) {
    throw new UsageError(`${file}: ${messageOf(error)}`);
  }
}

function readLimits(values: Readonly<Record<Exclude<CountName, AuditName>, string>>): FairnessLimits {
  const perSecond = readCount(values, 'user-requests-per-second');
  return {
    maxRequestsInflight: readCount(values, 'max-requests-inflight'),
    maxMutatingRequestsInflight: readCount(values, 'max-mutating-requests-inflight'),
    userRate: { perSecond, burst: 2 * perSecond },
  };
}

/** Requests that are under way when the server stops have so long to finish, then it ends without them. */
const drainMs = 20_000;

function readShutdown(text: string): ShutdownTimes {
  const delayMs = parseDuration(text);
  if (delayMs === undefined)
    throw new UsageError(`--shutdown-delay-duration is "${text}": write a duration such as 5s`);
  return { delayMs, drainMs };
}

const log = jsonLog('factory-apiserver');

await runMain(log, async (stack, signal) => {
  const values = parse();
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const address = required(values, 'store');
  const patience = { clock: systemClock, random: systemRandom, log, deadlineMs: storeDeadlineMs, signal };
  const etcdMinRevision = readMinRevision(values['etcd-min-revision']);
  const opening = { clock: systemClock, log, etcdTls: readEtcdTls(values), etcdMinRevision };
  const store = stack.use(await waitForStore(() => openStore(address, opening), patience));
  stack.use(
    await startServer({
      store,
      listen: readListen(values.listen),
      tls: {
        certificate: readRequired(values, 'tls-cert'),
        key: readRequired(values, 'tls-key'),
        clientCa: readRequired(values, 'client-ca'),
      },
      tokens: readRequired(values, 'token-file'),
      ...readTokenFlags(values, readFile),
      crds: readCrds(values.crds),
      ...readAudit(values),
      limits: readLimits(values),
      shutdown: readShutdown(values['shutdown-delay-duration']),
      strictTransportSecurity: values['strict-transport-security-directives'],
      log,
      signal,
    }),
  );
  await aborted(signal);
});
