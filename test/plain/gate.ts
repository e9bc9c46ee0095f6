/**
 * Stands between a program and an API server, notes every call, and says which of them a plain Kubernetes API server would not take. As an
 * `old` one it also answers as the oldest server that has to do: discovery in many documents, no WatchList, no bookmarks, watches that
 * end every few seconds, and nothing in an answer that the recordings of a real server do not have.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import type { Endpoint } from '#lib/client/endpoint.ts';
import { plainAnswer } from './answers.ts';
import { type PlainRequest, targetOf, violationsOf } from './rules.ts';

export interface Gate extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly requests: number;
  /** Such as `create VMPool`, `update VMPool/status`. */
  readonly calls: ReadonlySet<string>;
  readonly violations: ReadonlySet<string>;
  /** What answers had beyond the recordings; empty unless `old`. */
  readonly extensions: ReadonlySet<string>;
}

const watchSeconds = '2';

export async function plainGate(to: Endpoint, options: { readonly old: boolean }): Promise<Gate> {
  const calls = new Set<string>();
  const violations = new Set<string>();
  const extensions = new Set<string>();
  let requests = 0;
  const server = createServer((incoming, response) => {
    void pass(incoming, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async function pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://gate');
    const body = await textOf(incoming);
    const request = {
      ...{ method: incoming.method ?? 'GET', path: url.pathname, query: url.searchParams },
      ...{ headers: incoming.headers, body },
    };
    requests += 1;
    calls.add(callOf(request));
    for (const violation of violationsOf(request)) violations.add(`${callOf(request)}: ${violation}`);
    if (options.old && request.query.has('sendInitialEvents')) {
      response.writeHead(422, { 'content-type': 'application/json' }).end(JSON.stringify(noWatchList));
      return;
    }
    const answer = await forward(to, { incoming, response }, request, options.old);
    for (const warning of [answer.headers.warning ?? []].flat()) violations.add(`${callOf(request)}: ${warning}`);
    if (!options.old) {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    } else if (request.query.get('watch') === 'true' && answer.statusCode === 200)
      await oldWatch(answer, response, extensions);
    else await oldAnswer(request, answer, response, extensions);
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { server: `http://127.0.0.1:${port}`, ...(to.authorization && { authorization: to.authorization }) },
    get requests() {
      return requests;
    },
    ...{ calls, violations, extensions },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const noWatchList = {
  ...{ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason: 'Invalid', code: 422 },
  message: 'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden',
};

const verbs: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

function callOf({ method, path, query }: PlainRequest): string {
  const target = targetOf(path);
  if (!target) return 'discover';
  const read = query.get('watch') === 'true' ? 'watch' : target.name ? 'get' : 'list';
  const subresource = target.subresource ? `/${target.subresource}` : '';
  return `${verbs[method] ?? read} ${target.kind.kind}${subresource}`;
}

async function forward(
  to: Endpoint,
  { incoming, response }: { readonly incoming: IncomingMessage; readonly response: ServerResponse },
  { body }: PlainRequest,
  old: boolean,
): Promise<IncomingMessage> {
  const url = new URL(incoming.url ?? '/', to.server);
  if (old) url.searchParams.delete('allowWatchBookmarks');
  if (old && url.searchParams.has('watch')) url.searchParams.set('timeoutSeconds', watchSeconds);
  const { host: _, connection: __, ...headers } = incoming.headers;
  if (old && headers.accept?.includes('APIGroupDiscoveryList')) headers.accept = 'application/json';
  const outgoing = httpsRequest(url, { method: incoming.method, headers, ca: to.ca });
  response.once('close', () => outgoing.destroy());
  outgoing.end(body);
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  return answer;
}

async function oldAnswer(
  request: PlainRequest,
  answer: IncomingMessage,
  response: ServerResponse,
  extensions: Set<string>,
): Promise<void> {
  const text = await textOf(answer);
  const type = answer.headers['content-type'] ?? '';
  const bare = targetOf(request.path)?.kind.custom === false;
  const body = type.includes('json') ? JSON.stringify(plainAnswer(JSON.parse(text), extensions, bare)) : text;
  response.writeHead(answer.statusCode ?? 500, { 'content-type': type }).end(body);
}

async function oldWatch(answer: IncomingMessage, response: ServerResponse, extensions: Set<string>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
  for await (const line of createInterface({ input: answer })) {
    const event = JSON.parse(line) as { readonly type: string };
    if (event.type !== 'BOOKMARK') response.write(`${JSON.stringify(plainAnswer(event, extensions))}\n`);
  }
  response.end();
}

async function textOf(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
