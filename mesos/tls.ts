/** TLS towards masters and agents. Files are read for each new connection, so that certificates may be replaced while we run. */
import { readFileSync } from 'node:fs';

export interface TlsFiles {
  /** PEM of the authorities to trust; the system's unless told. */
  readonly caFile?: string;
  /** PEM of a client certificate, and of its key. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The name that the certificate must bear, where it is not the host that is called. */
  readonly serverName?: string;
  /** Any certificate of `caFile` will do, whatever name it bears: for agents, which are called by their address. */
  readonly anyName?: boolean;
}

/** What Node's TLS wants to know. */
export interface TlsContent {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly checkServerIdentity?: () => undefined;
}

/** Throws, naming the file, when one cannot be read. */
export function readTls({ caFile, certFile, keyFile, serverName, anyName }: TlsFiles): TlsContent {
  if (anyName && caFile === undefined)
    throw new Error('A certificate of any name is taken only from an authority that is given');
  return {
    ...(caFile !== undefined && { ca: readPem(caFile) }),
    ...(certFile !== undefined && { cert: readPem(certFile) }),
    ...(keyFile !== undefined && { key: readPem(keyFile) }),
    ...(serverName !== undefined && { servername: serverName }),
    ...(anyName && { checkServerIdentity: () => undefined }),
  };
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Error(`Cannot read ${file} for TLS`, { cause });
  }
}

/**
 * What Mesos' programs and those that they start are told by LIBPROCESS_SSL_* (docs/ssl.md of Mesos); undefined without TLS. Stricter than
 * there in one thing: certificates are always verified. An address in them is compared where LIBPROCESS_SSL_VERIFY_IPADD says so.
 */
export function tlsFromEnvironment(environment: NodeJS.ProcessEnv): TlsFiles | undefined {
  const value = (name: string) => environment[`LIBPROCESS_SSL_${name}`] || undefined;
  const isOn = (name: string) => ['1', 'true'].includes(value(name) ?? '');
  if (!isOn('ENABLED')) return undefined;
  const [caFile, certFile, keyFile] = [value('CA_FILE'), value('CERT_FILE'), value('KEY_FILE')];
  return {
    ...(caFile !== undefined && { caFile }),
    ...(certFile !== undefined && { certFile }),
    ...(keyFile !== undefined && { keyFile }),
    ...(caFile !== undefined && !isOn('VERIFY_IPADD') && { anyName: true }),
  };
}
