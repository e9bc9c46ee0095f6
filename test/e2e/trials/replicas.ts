/** Several API servers over one etcd, in this process, each with a store, caches and a port of its own; and requests to any of them. */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { type ApiServer, startServer } from '#apiserver/server.ts';
import { openEtcd } from '#apiserver/store/etcd.ts';
import type { Store } from '#apiserver/store/store.ts';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog, silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { createAuthority, issue } from '#lib/tls/authority.ts';

export interface Answer {
  readonly status: number;
  readonly body: ApiBody;
}

/** As much of an answer as the trials look at. */
export interface ApiBody {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly metadata: {
    readonly name?: string;
    readonly resourceVersion?: string;
    readonly continue?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly items?: readonly ApiBody[];
}

export interface WatchLine {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: ApiBody;
}

export interface Replicas extends AsyncDisposable {
  readonly count: number;
  readonly stores: readonly Store[];
  /** Rejects when there is no answer: the connection failed, or `timeoutMs` went by. */
  call(replica: number, method: string, path: string, body?: object): Promise<Answer>;
  /** Lines as they come. Ends as the watch does; throws an Answer's status line if it is refused. */
  watch(replica: number, path: string, signal: AbortSignal): AsyncGenerator<WatchLine>;
}

export const timeoutMs = 20_000;
const token = 'trial';

export async function startReplicas(endpoint: string, count = 2): Promise<Replicas> {
  await using stack = new AsyncDisposableStack();
  const log = process.env.TEST_LOG ? jsonLog('trial', 'debug') : silentLog;
  const authority = await createAuthority('trial-authority');
  const certificate = await issue(authority, { commonName: 'api', ips: ['127.0.0.1'], usage: 'server' });
  const tls = { certificate: certificate.certificate, key: certificate.key, clientCa: authority.certificate };
  const servers: ApiServer[] = [];
  const stores: Store[] = [];
  for (let i = 0; i < count; i++) {
    const options = { clock: systemClock, random: systemRandom, log: log.child({ replica: i }) };
    const store = stack.use(await openEtcd({ ...options, endpoints: [endpoint] }));
    const listen = { host: '127.0.0.1', port: 0 };
    const tokens = `${token},admin,1,"system:masters"\n`;
    servers.push(stack.use(await startServer({ ...options, store, listen, tls, tokens, crds: [] })));
    stores.push(store);
  }
  const agent = stack.adopt(new Agent({ keepAlive: true, ca: authority.certificate, maxSockets: 64 }), (it) =>
    it.destroy(),
  );
  const running = stack.move();
  const send = (replica: number, method: string, path: string, body?: object, signal?: AbortSignal) =>
    open(`${servers[replica]!.url}${path}`, { agent, method, body, signal });
  return {
    count,
    stores,
    async call(replica, method, path, body) {
      const response = await send(replica, method, path, body, AbortSignal.timeout(timeoutMs));
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      return { status: response.statusCode!, body: JSON.parse(Buffer.concat(chunks).toString()) as ApiBody };
    },
    async *watch(replica, path, signal) {
      const response = await send(replica, 'GET', path, undefined, signal);
      if (response.statusCode !== 200) {
        response.destroy();
        throw new Error(`The watch was refused with ${response.statusCode}`);
      }
      let rest = '';
      for await (const chunk of response) {
        const parts = (rest + (chunk as Buffer).toString()).split('\n');
        rest = parts.pop()!;
        for (const part of parts) yield JSON.parse(part) as WatchLine;
      }
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

interface Sending {
  readonly agent: Agent;
  readonly method: string;
  readonly body: object | undefined;
  readonly signal: AbortSignal | undefined;
}

async function open(url: string, { agent, method, body, signal }: Sending): Promise<IncomingMessage> {
  const payload = body && JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    // Node sends the body of a DELETE only if its length is given.
    ...(payload ? { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) } : {}),
  };
  const outgoing = httpsRequest(url, { agent, method, headers, ...(signal ? { signal } : {}) });
  outgoing.end(payload);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}
