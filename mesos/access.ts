/**
 * Who a program of ours is to Mesos, and whom it trusts: from files beside it, not from objects, so that what opens a partner's masters
 * stays at the partner's. Files are read again when a secret is refused and for each new connection.
 */
import { UsageError } from '#lib/std/main.ts';
import { type Authentication, basic, bearer, secretFile } from './authentication.ts';
import type { TlsFiles } from './tls.ts';

export interface MesosAccess {
  /** As Mesos knows us. */
  readonly principal?: string;
  readonly authentication?: Authentication;
  readonly tls?: TlsFiles;
}

const option = { type: 'string' } as const;

/** For parseArgs. */
export const mesosAccessFlags = {
  'mesos-principal': option,
  'mesos-secret-file': option,
  'mesos-token-file': option,
  'mesos-ca-file': option,
  'mesos-cert-file': option,
  'mesos-key-file': option,
} as const;

export const mesosAccessUsage = `  --mesos-principal NAME     Who we are to the masters
  --mesos-secret-file FILE   The principal's secret, for Basic authentication
  --mesos-token-file FILE    A bearer token instead
  --mesos-ca-file FILE       TLS: the authorities to trust
  --mesos-cert-file FILE     TLS: our certificate, and
  --mesos-key-file FILE      its key`;

type Values = { readonly [name in keyof typeof mesosAccessFlags]?: string | undefined };

/** Throws UsageError for flags that do not go together. */
export function mesosAccess(values: Values): MesosAccess {
  const principal = values['mesos-principal'];
  const authentication = authenticationOf(values, principal);
  const tls = tlsOf(values);
  return { ...(principal && { principal }), ...(authentication && { authentication }), ...(tls && { tls }) };
}

function authenticationOf(values: Values, principal: string | undefined): Authentication | undefined {
  const { 'mesos-secret-file': secret, 'mesos-token-file': token } = values;
  if (secret && token) throw new UsageError('Give --mesos-secret-file or --mesos-token-file, not both');
  if (secret && !principal) throw new UsageError('--mesos-secret-file wants --mesos-principal');
  if (token) return bearer(secretFile(token));
  return secret ? basic(principal!, secretFile(secret)) : undefined;
}

function tlsOf(values: Values): TlsFiles | undefined {
  const { 'mesos-ca-file': caFile, 'mesos-cert-file': certFile, 'mesos-key-file': keyFile } = values;
  if (!certFile !== !keyFile) throw new UsageError('--mesos-cert-file and --mesos-key-file go together');
  if (!caFile && !certFile) return undefined;
  return { ...(caFile && { caFile }), ...(certFile && { certFile }), ...(keyFile && { keyFile }) };
}
