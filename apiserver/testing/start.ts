/** A server of its own for a test: SQLite in a temporary folder, a port from the kernel, fresh certificates. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Crd, readCrds } from '#apiserver/resources/crd.ts';
import { type ApiServer, type ServerOptions, startServer } from '#apiserver/server.ts';
import { openStore } from '#apiserver/store/open.ts';
import type { Store } from '#apiserver/store/store.ts';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog, silentLog } from '#lib/std/log.ts';
import { type Authority, createAuthority, issue } from '#lib/tls/authority.ts';
import { createRequester, type Requester } from './http.ts';

export interface TestServer extends AsyncDisposable {
  readonly server: ApiServer;
  readonly store: Store;
  readonly authority: Authority;
  readonly token: string;
  readonly request: Requester;
  /** Removed at the end. */
  readonly folder: string;
}

export const projectCrds: readonly Crd[] = readCrds(join(import.meta.dirname, '../../crds'));

/** A store given belongs to another test server, which then has two replicas: it has to outlive this one. */
export async function startTestServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'apiserver-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const log = process.env.TEST_LOG ? jsonLog('test', 'debug') : silentLog;
  const store =
    options.store ?? stack.use(await openStore(`sqlite:${join(folder, 'store')}`, { clock: systemClock, log }));
  const authority = await createAuthority('test');
  const certificate = await issue(authority, { commonName: 'api', ips: ['127.0.0.1'], usage: 'server' });
  const token = crypto.randomUUID();
  const server = stack.use(
    await startServer({
      store,
      listen: { host: '127.0.0.1', port: 0 },
      tls: { certificate: certificate.certificate, key: certificate.key, clientCa: authority.certificate },
      crds: projectCrds,
      log,
      ...options,
      tokens: `${token},admin,1,"system:masters"\n${options.tokens ?? ''}`,
    }),
  );
  const running = stack.move();
  return {
    server,
    store,
    authority,
    token,
    folder,
    request: createRequester(server.url, authority.certificate, token),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
