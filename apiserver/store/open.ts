import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import { UsageError } from '#lib/std/main.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { openEtcd } from './etcd.ts';
import { openSqlite } from './sqlite.ts';
import type { Store } from './store.ts';

export interface OpenOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random;
}

const usage = 'give sqlite:FILE or etcd://HOST:PORT[,HOST:PORT…]';

/**
 * Opens the store that `--store` names. Rejects with UsageError for an address that is no store, and with ServiceUnavailable when no
 * etcd answers.
 */
export async function openStore(address: string, options: OpenOptions): Promise<Store> {
  const log = options.log.child({ store: address });
  const random = options.random ?? systemRandom;
  if (address.startsWith('sqlite:')) return openSqlite({ file: sqliteFile(address), clock: options.clock, log });
  if (address.startsWith('etcd://'))
    return openEtcd({ endpoints: etcdEndpoints(address), clock: options.clock, log, random });
  throw new UsageError(`Unknown store "${address}": ${usage}`);
}

function sqliteFile(address: string): string {
  const file = address.slice('sqlite:'.length);
  if (file === '' || file === ':memory:') throw new UsageError(`The store "${address}" names no file: ${usage}`);
  return file;
}

function etcdEndpoints(address: string): string[] {
  const endpoints = address.slice('etcd://'.length).split(',');
  for (const endpoint of endpoints) {
    const port = /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(endpoint)?.[1];
    if (port === undefined || Number(port) < 1 || Number(port) > 65_535)
      throw new UsageError(`The store "${address}" has an endpoint that is not HOST:PORT, "${endpoint}": ${usage}`);
  }
  return endpoints;
}
