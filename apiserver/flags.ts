/** The flags about load, stopping and the audit log, under the names of kube-apiserver. */
import { messageOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { type AuditPolicy, defaultPolicy, readPolicy } from './audit/policy.ts';
import { defaultLimits, type FairnessLimits } from './fairness/fairness.ts';
import { parseDuration } from './http/duration.ts';
import type { ServerOptions } from './server.ts';
import type { ShutdownTimes } from './shutdown.ts';

export const servingUsage = `\
  --shutdown-delay-duration D   when told to stop, go on for so long after /readyz has failed (default 500ms)
  --strict-transport-security-directives D   value of the header of that name (default: none is sent)
  --audit-log-path FILE     write down who asked for what, one JSON line for each stage of a request
  --audit-policy-file FILE  which requests, and how much of each: an audit.k8s.io/v1 Policy (default: all but probes, without bodies)
  --audit-log-maxsize MB    put the file aside before it grows larger (default 100)
  --audit-log-maxbackup N   keep so many of those (default 10)
  --max-requests-inflight N            reads worked on at once (default 400)
  --max-mutating-requests-inflight N   writes worked on at once (default 200)
  --user-requests-per-second N         how fast one user may go on (default 1000)
`;

const text = (value: string | number) => ({ type: 'string', default: `${value}` }) as const;

export const servingFlags = {
  'shutdown-delay-duration': text('500ms'),
  'strict-transport-security-directives': text(''),
  'audit-log-path': text(''),
  'audit-policy-file': text(''),
  'audit-log-maxsize': text(100),
  'audit-log-maxbackup': text(10),
  'max-requests-inflight': text(defaultLimits.maxRequestsInflight),
  'max-mutating-requests-inflight': text(defaultLimits.maxMutatingRequestsInflight),
  'user-requests-per-second': text(defaultLimits.userRate.perSecond),
} as const;

export type ServingFlags = Readonly<Record<keyof typeof servingFlags, string>>;
type Read = (flag: string, file: string) => string;

/** `read` gives the text of a file that a flag names. UsageError for a value that means nothing. */
export function readServingFlags(
  flags: ServingFlags,
  read: Read,
): Pick<ServerOptions, 'audit' | 'limits' | 'shutdown' | 'strictTransportSecurity'> {
  return {
    ...readAudit(flags, read),
    limits: readLimits(flags),
    shutdown: readShutdown(flags['shutdown-delay-duration']),
    strictTransportSecurity: flags['strict-transport-security-directives'],
  };
}

function readAudit(flags: ServingFlags, read: Read): Pick<ServerOptions, 'audit'> {
  const path = flags['audit-log-path'];
  const file = flags['audit-policy-file'];
  if (path === '' && file !== '') throw new UsageError('--audit-policy-file needs --audit-log-path beside it');
  if (path === '') return {};
  return {
    audit: {
      path,
      policy: file === '' ? defaultPolicy : readPolicyFile(file, read),
      maxBytes: readCount(flags, 'audit-log-maxsize') * 1024 * 1024,
      maxBackups: readCount(flags, 'audit-log-maxbackup'),
    },
  };
}

function readPolicyFile(file: string, read: Read): AuditPolicy {
  const content = read('audit-policy-file', file);
  try {
    return readPolicy(content);
  } catch (error) {
    throw new UsageError(`--audit-policy-file ${file}: ${messageOf(error)}`);
  }
}

function readLimits(flags: ServingFlags): FairnessLimits {
  const perSecond = readCount(flags, 'user-requests-per-second');
  return {
    maxRequestsInflight: readCount(flags, 'max-requests-inflight'),
    maxMutatingRequestsInflight: readCount(flags, 'max-mutating-requests-inflight'),
    userRate: { perSecond, burst: 2 * perSecond },
  };
}

/** Requests that are under way when the server stops have so long to finish, then it ends without them. */
const drainMs = 20_000;

function readShutdown(delay: string): ShutdownTimes {
  const delayMs = parseDuration(delay);
  if (delayMs === undefined)
    throw new UsageError(`--shutdown-delay-duration is "${delay}": write a duration such as 5s`);
  return { delayMs, drainMs };
}

function readCount(flags: ServingFlags, name: keyof ServingFlags): number {
  const count = Number(flags[name]);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new UsageError(`--${name} is "${flags[name]}": write a whole number above 0`);
  return count;
}
