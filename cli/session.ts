/** A connection to the API server for the verbs: raw requests, since a command line shows what the server says. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher, request as send } from 'undici';
import { ApiError, type ErrorCode, type ErrorDetails, httpStatusOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { defaultDir } from './local/default-dir.ts';
import { localPaths } from './local/settings.ts';

export interface RequestOptions {
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: unknown;
}

export interface StreamEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

export interface Session {
  readonly server: string;
  /** From --namespace, else the context, else `default`. */
  readonly namespace: string;
  /** What a WebSocket needs to connect as the same user. */
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly headers: Readonly<Record<string, string>>;
  };
  /** Rejects with ApiError carrying the server's message. */
  request<T>(method: Dispatcher.HttpMethod, path: string, options?: RequestOptions): Promise<T>;
  /** Events until the server or the signal ends it. */
  watch<T>(path: string, options?: RequestOptions & { signal?: AbortSignal }): AsyncIterable<StreamEvent<T>>;
}

export interface ConnectFlags {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly namespace?: string | undefined;
}

const requestMs = 30_000;

/** The kubeconfig of --kubeconfig, $KUBECONFIG, ~/.kube/config, or that of a running local cluster, in this order. */
function loadKubeconfig(flags: ConnectFlags): KubeConfig {
  const config = new KubeConfig();
  const local = localPaths(defaultDir).kubeconfig;
  if (flags.kubeconfig) config.loadFromFile(flags.kubeconfig);
  else if (process.env.KUBECONFIG || existsSync(join(homedir(), '.kube/config'))) config.loadFromDefault();
  else if (existsSync(local)) config.loadFromFile(local);
  else
    throw new UsageError(
      'No cluster to talk to: set KUBECONFIG, give --kubeconfig, or start one with "factoryctl local up".',
    );
  if (flags.context) config.setCurrentContext(flags.context);
  return config;
}

export async function connect(flags: ConnectFlags): Promise<Session> {
  let config: KubeConfig;
  try {
    config = loadKubeconfig(flags);
  } catch (error) {
    throw error instanceof UsageError
      ? error
      : new UsageError(`Cannot read the kubeconfig: ${(error as Error).message}`);
  }
  const cluster = config.getCurrentCluster();
  if (!cluster)
    throw new UsageError(`The kubeconfig has no context "${config.getCurrentContext()}". Name one with --context.`);
  const user = config.getCurrentUser();
  const pem = (data: string | undefined, file: string | undefined) =>
    data ? Buffer.from(data, 'base64').toString() : file ? readFileSync(file, 'utf8') : undefined;
  const ca = pem(cluster.caData, cluster.caFile);
  const cert = pem(user?.certData, user?.certFile);
  const key = pem(user?.keyData, user?.keyFile);
  const secure = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
  const headers: Record<string, string> = user?.token ? { authorization: `Bearer ${user.token}` } : {};
  const dispatcher = new Agent({ connect: { ...secure, rejectUnauthorized: !cluster.skipTLSVerify, timeout: 10_000 } });
  const namespace = flags.namespace ?? config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
  return {
    server: cluster.server,
    namespace,
    tls: { ...secure, headers },
    ...verbs(cluster.server, headers, dispatcher),
  };
}

function verbs(
  server: string,
  headers: Readonly<Record<string, string>>,
  dispatcher: Agent,
): Pick<Session, 'request' | 'watch'> {
  const open = async (method: Dispatcher.HttpMethod, path: string, options: RequestOptions, extra: object) => {
    const { accept = 'application/json', contentType = 'application/json', body } = options;
    try {
      const answer = await send(`${server.replace(/\/$/, '')}${path}`, {
        method,
        dispatcher,
        headers: { ...headers, accept, ...(body === undefined ? {} : { 'content-type': contentType }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...extra,
      });
      if (answer.statusCode >= 400) throw refusal(answer.statusCode, await answer.body.text());
      return answer;
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(
        'ServiceUnavailable',
        `Cannot reach the API server ${server}: ${reasonOf(error)}. Is it running? See "factoryctl local status".`,
        { cause: error },
      );
    }
  };
  return {
    async request<T>(method: Dispatcher.HttpMethod, path: string, options: RequestOptions = {}) {
      const { body } = await open(method, path, options, { headersTimeout: requestMs, bodyTimeout: requestMs });
      const text = await body.text();
      return (text === '' ? {} : JSON.parse(text)) as T;
    },
    async *watch<T>(path: string, options: RequestOptions & { signal?: AbortSignal } = {}) {
      const { body } = await open('GET', path, options, {
        headersTimeout: requestMs,
        bodyTimeout: 0,
        ...(options.signal ? { signal: options.signal } : {}),
      });
      let rest = '';
      for await (const chunk of body.setEncoding('utf8')) {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          const event = JSON.parse(line) as StreamEvent<T>;
          if (event.type === 'ERROR') throw refusal(410, JSON.stringify(event.object));
          yield event;
        }
      }
    },
  };
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  return code === 'ECONNREFUSED' ? 'nothing listens there' : message;
}

/** The server's Status as our error; whatever else it sent is quoted. */
function refusal(statusCode: number, text: string): ApiError {
  let status: { reason?: string; message?: string; details?: ErrorDetails } = {};
  try {
    status = JSON.parse(text) as typeof status;
  } catch {
    status = { message: text.slice(0, 500) }; // a proxy's page, not a Status: show it as it is
  }
  const byStatus = Object.entries(httpStatusOf).find(([, value]) => value === statusCode)?.[0] ?? 'InternalError';
  const code = (status.reason && status.reason in httpStatusOf ? status.reason : byStatus) as ErrorCode;
  return new ApiError(code, status.message || `The API server answered ${statusCode}`, {
    details: status.details ?? {},
  });
}
