/** A real API server in this process, on a port and in a directory of its own, and a client to it over TLS with an administrator's token. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCrds } from '#apiserver/resources/crd.ts';
import { type ApiServer, startServer } from '#apiserver/server.ts';
import { openSqlite } from '#apiserver/store/sqlite.ts';
import { clusterServerUser, programGroups } from '#lib/api/names.ts';
import type { Endpoint } from '#lib/client/endpoint.ts';
import { type HttpClient, httpClient } from '#lib/client/http-client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { createAuthority, issue } from '#lib/tls/authority.ts';

const crds = readCrds(join(import.meta.dirname, '..', 'crds'));

/** Our own programs under the credentials that a local cluster gives them; the Cluster is called lab. */
export const programTokens = { controllers: 'c0ntrollers', clusterServer: 'cluster5erver' } as const;

const programs = [
  ['controllers', programGroups.controllers],
  ['clusterServer', clusterServerUser('lab')],
] as const;
const programRows = programs.map(
  ([program, user]) => `${programTokens[program]},${user},${program},"${programGroups[program]}"\n`,
);

export interface ApiWorld extends AsyncDisposable {
  readonly server: ApiServer;
  readonly endpoint: Endpoint;
  readonly client: HttpClient;
  /** A client to another API server on the same store, which is started for it. */
  second(): Promise<HttpClient>;
}

export async function apiWorld(): Promise<ApiWorld> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.adopt(mkdtempSync(join(tmpdir(), 'cf-api-')), (path) => rmSync(path, { recursive: true }));
  const authority = await createAuthority('test');
  const { certificate, key } = await issue(authority, {
    commonName: 'factory-apiserver',
    ips: ['127.0.0.1'],
    usage: 'server',
  });
  const store = stack.use(openSqlite({ file: join(dir, 'store.db'), clock: systemClock, log: silentLog }));
  const start = () =>
    startServer({
      store,
      listen: { host: '127.0.0.1', port: 0 },
      tls: { certificate, key, clientCa: authority.certificate },
      tokens: `t0ken,admin,1,"system:masters"\n${programRows.join('')}`,
      crds,
    });
  const endpointOf = ({ url }: ApiServer): Endpoint => ({
    server: url,
    ca: authority.certificate,
    authorization: async () => 'Bearer t0ken',
  });
  const server = stack.use(await start());
  const endpoint = endpointOf(server);
  const client = stack.use(httpClient(endpoint));
  const running = stack.move();
  return {
    server,
    endpoint,
    client,
    second: async () => running.use(httpClient(endpointOf(running.use(await start())))),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
