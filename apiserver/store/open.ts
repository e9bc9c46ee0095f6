import { rootCertificates } from 'node:tls';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import { UsageError } from '#lib/std/main.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { openEtcd } from './etcd.ts';
import type { EtcdTls } from './etcd-grpc.ts';
import { openSqlite } from './sqlite.ts';
import type { Store } from './store.ts';

export interface OpenOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random;
  /** For etcds: what stands in the files of --etcd-cafile, --etcd-certfile and --etcd-keyfile. PEM. */
  readonly etcdTls?: EtcdTlsTexts;
  /** See EtcdOptions. SQLite has no such thing. */
  readonly etcdMinRevision?: bigint | undefined;
}

export interface EtcdTlsTexts {
  /** Who signed etcd's certificates; those that Node trusts unless told. */
  readonly ca?: string | undefined;
  /** How we show who we are; both or none. */
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

const usage = 'give sqlite:FILE, etcd://HOST:PORT[,HOST:PORT…] or etcds://HOST:PORT[,HOST:PORT…]';

/**
 * Opens the store that `--store` names. Rejects with UsageError for an address that is no store, and with ServiceUnavailable when no
 * etcd answers.
 */
export async function openStore(address: string, options: OpenOptions): Promise<Store> {
  const log = options.log.child({ store: address });
  const random = options.random ?? systemRandom;
  if (address.startsWith('sqlite:')) return openSqlite({ file: sqliteFile(address), clock: options.clock, log });
  const scheme = /^etcds?:\/\//.exec(address)?.[0];
  if (scheme !== undefined) {
    const tls = scheme === 'etcds://' ? etcdTls(options.etcdTls ?? {}) : plain(options.etcdTls ?? {});
    const endpoints = etcdEndpoints(address, scheme);
    const minRevision = options.etcdMinRevision;
    return openEtcd({ endpoints, tls, minRevision, clock: options.clock, log, random });
  }
  throw new UsageError(`Unknown store "${address}": ${usage}`);
}

function sqliteFile(address: string): string {
  const file = address.slice('sqlite:'.length);
  if (file === '' || file === ':memory:') throw new UsageError(`The store "${address}" names no file: ${usage}`);
  return file;
}

function etcdTls({ ca, certificate, key }: EtcdTlsTexts): EtcdTls {
  if ((certificate === undefined) !== (key === undefined))
    throw new UsageError('Give both --etcd-certfile and --etcd-keyfile, or neither');
  return {
    rootCertificate: Buffer.from(ca ?? rootCertificates.join('\n')),
    ...(certificate !== undefined && key !== undefined
      ? { certChain: Buffer.from(certificate), privateKey: Buffer.from(key) }
      : {}),
  };
}

/** Who gives certificates expects encryption. */
function plain({ ca, certificate, key }: EtcdTlsTexts): undefined {
  if (ca ?? certificate ?? key) throw new UsageError('Certificates for etcd need a --store that begins with etcds://');
}

function etcdEndpoints(address: string, scheme: string): string[] {
  const endpoints = address.slice(scheme.length).split(',');
  for (const endpoint of endpoints) {
    const port = /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(endpoint)?.[1];
    if (port === undefined || Number(port) < 1 || Number(port) > 65_535)
      throw new UsageError(`The store "${address}" has an endpoint that is not HOST:PORT, "${endpoint}": ${usage}`);
  }
  return endpoints;
}
